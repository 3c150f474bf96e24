variable "bucket" {
  description = "The bucket that has the pictures."
  type        = string
}

variable "prefix" {
  description = "Keys that begin otherwise are left out."
  type        = string
  default     = ""
}

variable "topic_name" {
  description = "The topic's name."
  type        = string
  default     = "pictures"
}

variable "relay_url" {
  description = "`public_url` of relay.yaml."
  type        = string
  validation {
    condition     = startswith(var.relay_url, "https://")
    error_message = "Amazon's messages go over https."
  }
}

variable "source_name" {
  description = "The source's name in relay.yaml."
  type        = string
}
