//! The suite that every storage passes.

use std::sync::Arc;

use imapper_storage_memory::Memory;

imapper_testkit::storage_conformance!(async || Arc::new(Memory::new()));
