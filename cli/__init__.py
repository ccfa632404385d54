"""samespace's command line: parse, call, print."""
