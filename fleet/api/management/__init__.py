"""The fleet for programs: what an administrator can do in admin, over REST. See docs/fleet-api.md."""
