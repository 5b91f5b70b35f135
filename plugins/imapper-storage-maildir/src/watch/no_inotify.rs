//! In place of inotify where there is none. It can't be made, so nothing here is ever called.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::state::Event;

pub(super) enum Inotify {}

impl Inotify {
    pub(super) fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn watch(&self, _folder: &Path) -> io::Result<i32> {
        match *self {}
    }

    pub(super) fn unwatch(&self, _watch: i32) {
        match *self {}
    }

    pub(super) fn read(&self, _each: impl FnMut(Event)) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn ring(&self) {
        match *self {}
    }

    pub(super) fn wait(&self, _timeout: Option<Duration>) -> io::Result<()> {
        match *self {}
    }
}
