# Google Cloud Storage bucket → Pub/Sub topic → push to the relay. README.md one folder up.
terraform {
  required_version = ">= 1.5"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 5.0"
    }
  }
}

locals {
  endpoint = "${trimsuffix(var.relay_url, "/")}/hooks/${var.source_name}"
}

# The account in whose name Google Cloud Storage publishes.
data "google_storage_project_service_account" "storage" {
  project = var.project
}

resource "google_pubsub_topic" "pictures" {
  project = var.project
  name    = var.name
}

resource "google_pubsub_topic_iam_member" "storage" {
  project = var.project
  topic   = google_pubsub_topic.pictures.name
  role    = "roles/pubsub.publisher"
  member  = "serviceAccount:${data.google_storage_project_service_account.storage.email_address}"
}

resource "google_storage_notification" "pictures" {
  bucket             = var.bucket
  topic              = google_pubsub_topic.pictures.id
  payload_format     = "JSON_API_V1"
  event_types        = ["OBJECT_FINALIZE", "OBJECT_DELETE", "OBJECT_ARCHIVE"]
  object_name_prefix = var.prefix
  depends_on         = [google_pubsub_topic_iam_member.storage]
}

# Whoever the relay lets in: an account that does nothing else. Whoever applies this has to be allowed to act as it.
resource "google_service_account" "push" {
  project      = var.project
  account_id   = "${var.name}-push"
  display_name = "Pushes to the image relay"
}

resource "google_pubsub_subscription" "relay" {
  project = var.project
  name    = var.name
  topic   = google_pubsub_topic.pictures.id
  # The relay answers in milliseconds; a request is given up after this.
  ack_deadline_seconds = 30
  # Seven days, the longest a subscription keeps what was not taken, unless the topic keeps it longer.
  message_retention_duration = "604800s"
  # Without this, a subscription without traffic is removed after a month.
  expiration_policy {
    ttl = ""
  }
  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }
  push_config {
    push_endpoint = local.endpoint
    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = local.endpoint
    }
  }
}
