//! The model finds what it should, and nothing else.
