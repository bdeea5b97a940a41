"""The explorer's data: token clouds in three dimensions, one script file per prompt and degree of shuffling."""
