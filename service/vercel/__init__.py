"""Vercel's side of the relay: what a request and an answer are (`wire`), and the client that carries them."""
