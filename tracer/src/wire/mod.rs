//! From copied bytes to marks.
