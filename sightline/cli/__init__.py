"""The command line: it parses arguments, prints and exits; the work is in `sightline.workflows`."""
