//! Everything an app's module needs: `use gunmetal_dirty::prelude::*;`, or through `gunmetal::dirty`.

pub use bytes::Bytes;
pub use futures_core::Stream;
pub use gunmetal_protocol::{Dict, Value, value};

pub use crate::{
    ActionError, AppRegistry, Call, CancelToken, DirtyApp, InitContext, Reply, Result, action, dirty_app,
};
