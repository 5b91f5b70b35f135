//! imapper-users-static
