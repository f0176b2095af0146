"""What services over HTTP share: their tokens, and listening (extra ``serve``)."""
