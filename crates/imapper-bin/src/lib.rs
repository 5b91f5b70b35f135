//! imapper-bin
