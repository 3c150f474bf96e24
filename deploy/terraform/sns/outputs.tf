output "topic_arn" {
  description = "For `topics` in relay.yaml."
  value       = aws_sns_topic.pictures.arn
}

output "undelivered_queue_url" {
  description = "Where to look for what never arrived."
  value       = aws_sqs_queue.undelivered.id
}
