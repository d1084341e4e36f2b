"""What Takt talks about: interactions in, decisions out. Frozen structs, no I/O."""
