variable "project" {
  description = "The Google Cloud project."
  type        = string
}

variable "bucket" {
  description = "The bucket that has the pictures."
  type        = string
}

variable "prefix" {
  description = "Names that begin otherwise are left out."
  type        = string
  default     = null
}

variable "name" {
  description = "Of the topic and the subscription; the account that pushes is called NAME-push."
  type        = string
  default     = "image-relay"
}

variable "relay_url" {
  description = "`public_url` of relay.yaml."
  type        = string
  validation {
    condition     = startswith(var.relay_url, "https://")
    error_message = "Pub/Sub pushes to https alone."
  }
}

variable "source_name" {
  description = "The source's name in relay.yaml."
  type        = string
}
