"""`python -m voldesk`: the same as the `voldesk` command."""

from voldesk.app.cli import main

if __name__ == "__main__":
    main()
