//! The conformance suite, in both layouts, and with the indexes elsewhere.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use imapper_core::storage::{AccountId, Storage};
use imapper_storage_maildir::{Builder, Layout, Maildir};
use imapper_testkit::storage::StorageUnderTest;

use crate::folder::Folder;

/// A storage in a temporary folder.
struct Here {
    folder: Folder,
    layout: Layout,
    apart: bool,
    storage: Option<Arc<Maildir>>,
}

impl Here {
    fn new(layout: Layout, apart: bool) -> Self {
        let mut here = Self { folder: Folder::new(), layout, apart, storage: None };
        here.storage = Some(Arc::new(here.builder().open().unwrap()));
        here
    }

    fn builder(&self) -> Builder {
        // What is synced is another test's affair.
        let builder = Maildir::builder(self.folder.path().join("mail/{user}"));
        let builder = builder
            .layout(self.layout)
            .durable(false)
            .max_message(1 << 20)
            .shared([AccountId::from("shared")]);
        if self.apart { builder.index_dir(self.folder.path().join("index")) } else { builder }
    }
}

impl StorageUnderTest for Here {
    fn storage(&self) -> Arc<dyn Storage> {
        Arc::clone(self.storage.as_ref().unwrap()) as Arc<dyn Storage>
    }

    fn reopen(&mut self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        self.storage = None;
        self.storage = Some(Arc::new(self.builder().open().unwrap()));
        Box::pin(async { true })
    }

    fn beside(&self) -> Option<Arc<dyn Storage>> {
        Some(Arc::new(self.builder().open().unwrap()))
    }
}

mod maildir_plus_plus {
    use super::*;

    imapper_testkit::storage_conformance!(async || Here::new(Layout::MaildirPlusPlus, false));
}

mod nested {
    use super::*;

    imapper_testkit::storage_conformance!(async || Here::new(Layout::Fs, false));
}

mod index_elsewhere {
    use super::*;

    imapper_testkit::storage_conformance!(async || Here::new(Layout::MaildirPlusPlus, true));
}
