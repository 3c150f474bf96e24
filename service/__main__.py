"""`python -m service` is `image-relay`."""

from service.cli import main

if __name__ == "__main__":
    main()
