//! imapper-testkit
