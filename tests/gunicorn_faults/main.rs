//! What gunicorn's dirty arbiter gets wrong when things go wrong, and ours gets right. Real processes, real signals, frames by
//! hand where a client would not write them; the app is the probe (`examples/probe`).
//!
//! | what happens | test |
//! |---|---|
//! | worker killed, calls queued behind it | `workers::killed_with_calls_queued_behind_it` |
//! | worker killed, to the next one serving | `workers::killed_and_the_next_one_serves_within_milliseconds` |
//! | `init` fails | `starting::init_fails_at_the_first_start`, `starting::init_fails_while_others_serve` |
//! | `init` takes longer than 5 s | `starting::init_takes_longer_than_five_seconds` |
//! | action over the time limit | `workers::action_over_the_time_limit` |
//! | a stream's reader stops reading | `readers::a_streams_reader_stops_reading` |
//! | 200 / 500 clients connecting at once | `connections::hundreds_of_clients_connect_at_once` |
//! | SIGHUP | `signals::hup_under_load` |
//! | SIGTERM with calls running | `signals::term_with_calls_running`, `signals::term_with_calls_over_the_graceful_timeout` |
//! | TTIN, TTOU | `signals::ttin_and_ttou` |
//! | TTOU or HUP with a limited app | `signals::ttou_or_hup_with_a_limited_app` |
//! | arbiter killed with -9 | `arbiters::killed_while_it_is_alone` |
//! | a frame that breaks the protocol | `frames::…` |
//! | eight clients, half a frame of 32 MiB each | `connections::eight_half_frames_of_32_mib` |
//! | answer over 64 MiB | `frames::an_answer_over_64_mib` |
//! | SIGUSR2 to the dirty arbiter | `signals::usr2_to_the_dirty_arbiter` |
//! | missing stash key with a default | `stash::a_missing_key_with_a_default`, and `test_stash.py` |
//! | `stashes` declared by an app | `stash::declared_stashes` |
//! | a stored dict with a key "error" | `stash::a_stored_dict_with_a_key_error` |
//! | `dirty_timeout = 0` | `workers::no_timeout` |
//! | `dirty_threads = 4` | `workers::four_threads` |
//! | one call of 4 s, two workers, eight callers of short calls | `workers::a_long_call_beside_short_ones` |
//! | a worker that is still starting | `starting::a_starting_worker_is_given_nothing` |
//! | a client that left while its call was queued | `connections::a_client_that_left_while_its_call_was_queued` |
//! | `init`, `close`, names with a leading underscore as actions | `frames::reserved_names_as_actions` |
//! | payload keys `type` and `id` | `frames::payload_keys_type_and_id` |
//! | gunicorn's master restarts its dirty arbiter | `arbiters::killed_under_a_master` |
//! | an error in a stream | `frames::an_error_in_a_stream` |
//! | `stream()` of an action that does not stream, `execute()` of one that does | `kinds::…` |

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod arbiters;
mod callers;
mod connections;
mod frames;
mod kinds;
mod readers;
mod signals;
mod starting;
mod stash;
#[path = "../support/mod.rs"]
mod support;
mod workers;
