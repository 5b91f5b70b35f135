//! imapper-extensions
