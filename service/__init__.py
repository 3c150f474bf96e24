"""vercel-image-relay: signed webhooks in, Vercel image cache purges out."""

__version__ = "0.1.0"
