//! One client: what it may do, what it has been told, what is on its way to it.

pub mod access;
pub mod data;
pub mod hub;
pub mod namespace;
pub mod output;
pub mod policy;
pub mod reply;
pub mod shape;
pub mod state;
pub mod table;
pub mod upload;
pub mod view;

pub use access::{Access, Owners, Rights};
pub use data::Data;
pub use hub::{Hub, Hubs};
pub use namespace::{Namespace, NamespaceKind, Namespaces, Place};
pub use output::{Filter, Keep, Output, Response, Traffic};
pub use policy::Policy;
pub use reply::{Reject, Reply};
pub use shape::{Shape, Shaper};
pub use state::{Login, Selected, State};
pub use upload::Upload;
pub use view::View;
