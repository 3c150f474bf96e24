output "audience" {
  description = "For `auth.jwt.audience` in relay.yaml."
  value       = local.endpoint
}

output "email" {
  description = "For `auth.jwt.email` in relay.yaml."
  value       = google_service_account.push.email
}

output "subscription" {
  description = "For `topics` in relay.yaml."
  value       = google_pubsub_subscription.relay.id
}
