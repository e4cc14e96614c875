//! What the dispatcher wants done.

use gunmetal_supervise::WorkerId;

use super::call::{Caller, ClientId};
use super::lane::LaneId;
use crate::router::failure::Failure;

/// Work for the driver, to be done in the order in which it is polled.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// Connect to the worker and open this lane.
    OpenLane { lane: LaneId, worker: WorkerId },
    /// Close this lane's connection: it is given up, or over.
    CloseLane { lane: LaneId },
    /// Send the call to the lane; [`body`](super::Dispatcher::body) has its payload.
    Hand { lane: LaneId, seq: u64 },
    /// The lane is this client's alone until [`upload_done`](super::Dispatcher::upload_done): pass on its payload.
    Grant { lane: LaneId, seq: u64, client: ClientId },
    /// Ask the worker to give back the lane's calls up to this one that it has not started.
    Revoke { lane: LaneId, worker: WorkerId, upto: u64 },
    /// Answer the caller with an error.
    Fail { caller: Caller, failure: Failure },
    /// Tell the parent that the worker hangs.
    Condemn { worker: WorkerId, reason: String },
    /// Tell the parent that the worker has answered its share of calls.
    Served { worker: WorkerId, calls: u64 },
    /// Tell the parent that the worker has nothing left to do.
    Drained { worker: WorkerId },
    /// The last call of a router that drains has been answered.
    Finished,
}
