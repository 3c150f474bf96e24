"""Shipped for those who run or test the relay: a Vercel to try against, and signed samples."""
