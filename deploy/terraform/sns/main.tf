# S3 bucket → SNS topic → the relay. README.md one folder up.
terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_caller_identity" "current" {}

data "aws_s3_bucket" "pictures" {
  bucket = var.bucket
}

resource "aws_sns_topic" "pictures" {
  name = var.topic_name
  # SHA-256 in place of SHA-1.
  signature_version = 2
}

# The bucket may publish, of this account and nobody else's.
data "aws_iam_policy_document" "publish" {
  statement {
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.pictures.arn]
    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [data.aws_s3_bucket.pictures.arn]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_sns_topic_policy" "publish" {
  arn    = aws_sns_topic.pictures.arn
  policy = data.aws_iam_policy_document.publish.json
}

# A bucket has one such configuration: where yours has one already, put the topic into that.
resource "aws_s3_bucket_notification" "pictures" {
  bucket = data.aws_s3_bucket.pictures.id
  topic {
    topic_arn     = aws_sns_topic.pictures.arn
    events        = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"]
    filter_prefix = var.prefix
  }
  depends_on = [aws_sns_topic_policy.publish]
}

# What the relay did not take within the retries, or refused.
resource "aws_sqs_queue" "undelivered" {
  name                      = "${var.topic_name}-undelivered"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

data "aws_iam_policy_document" "undelivered" {
  statement {
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.undelivered.arn]
    principals {
      type        = "Service"
      identifiers = ["sns.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_sns_topic.pictures.arn]
    }
  }
}

resource "aws_sqs_queue_policy" "undelivered" {
  queue_url = aws_sqs_queue.undelivered.id
  policy    = data.aws_iam_policy_document.undelivered.json
}

resource "aws_sns_topic_subscription" "relay" {
  topic_arn = aws_sns_topic.pictures.arn
  protocol  = "https"
  endpoint  = "${trimsuffix(var.relay_url, "/")}/hooks/${var.source_name}"
  # The relay confirms by itself, once `topics` in its relay.yaml has this topic.
  endpoint_auto_confirms          = true
  confirmation_timeout_in_minutes = 5
  # Raw messages are not signed.
  raw_message_delivery = false
  # An hour, the longest there is, in place of a minute.
  delivery_policy = jsonencode({
    healthyRetryPolicy = {
      numRetries         = 60
      numNoDelayRetries  = 0
      numMinDelayRetries = 3
      numMaxDelayRetries = 50
      minDelayTarget     = 5
      maxDelayTarget     = 60
      backoffFunction    = "exponential"
    }
  })
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.undelivered.arn
  })
}
