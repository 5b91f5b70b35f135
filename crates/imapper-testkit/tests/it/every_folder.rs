//! `script_tests!` makes a test for each folder; against a server that can do nothing each is skipped.

use imapper_testkit::{BoxFuture, Connect, NoServer, Server, Setup};

struct Nothing;

impl Server for Nothing {
    fn start<'a>(&'a self, _: &'a Setup) -> BoxFuture<'a, Result<Box<dyn Connect>, NoServer>> {
        Box::pin(async { Err(NoServer::Unsupported("there is no server".into())) })
    }
}

imapper_testkit::script_tests!(Nothing);

#[test]
fn every_folder_has_a_test() {
    assert_eq!(scripts::FOLDERS, imapper_testkit::folders());
}

struct Broken;

impl Server for Broken {
    fn start<'a>(&'a self, _: &'a Setup) -> BoxFuture<'a, Result<Box<dyn Connect>, NoServer>> {
        Box::pin(async { Err(NoServer::Failed("no port is free".into())) })
    }
}

#[test]
#[should_panic(expected = "no port is free")]
fn a_server_that_does_not_start_fails_the_folder() {
    imapper_testkit::test_folder("id", &Broken);
}

#[test]
#[should_panic(expected = "no scripts in a folder none")]
fn a_folder_that_is_not_there_fails() {
    imapper_testkit::test_folder("none", &Nothing);
}
