//! The probe as a dirty arbiter alone, and what its tests ask of it.

use gunmetal::Value;
use gunmetal::blocking::Client;

use super::Service;

/// The probe's app.
pub const APP: &str = "bench_app:BenchApp";

/// The probe with `worker_count` workers, all of them ready.
pub fn probe(worker_count: usize, flags: &[&str]) -> Service {
    let count = worker_count.to_string();
    let mut all = vec!["--dirty-workers", &count];
    all.extend_from_slice(flags);
    let service = Service::probe(&all, &[]);
    let client = client(&service);
    service.wait_for("the workers", || (worker_pids(&client).len() == worker_count).then_some(()));
    service
}

/// A blocking client of the probe.
pub fn client(service: &Service) -> Client {
    Client::at(service.socket())
}

/// The workers that are ready.
pub fn worker_pids(client: &Client) -> Vec<i64> {
    let status = client.status().unwrap();
    status.workers.iter().filter(|worker| worker.booted).map(|worker| worker.pid).collect()
}

/// Waits until `count` calls run, which `/proc` cannot tell and the router can.
pub fn wait_until_running(service: &Service, client: &Client, count: u64) {
    service.wait_for("the call to run", || {
        let status = client.status().unwrap();
        (status.workers.iter().filter_map(|worker| worker.running).sum::<u64>() >= count).then_some(())
    });
}

/// A number of the probe's `peek`, unless it is 0.
pub fn peek(client: &Client, key: &str) -> Option<i64> {
    let value: Value = client.execute(APP, "peek", ()).ok()?;
    let number = value.as_dict()?.get(key)?.as_int()?;
    (number > 0).then_some(number)
}
