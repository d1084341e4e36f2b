"""Pages in the browser for those who work with tasks: `/agent` and `/supervisor`."""
