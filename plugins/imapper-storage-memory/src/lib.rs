//! imapper-storage-memory
