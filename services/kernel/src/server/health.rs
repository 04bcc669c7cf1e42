//! How this process says that it is well: `grpc.health.v1.Health` answers NOT_SERVING, for every service and for the whole, while
//! anybody in it knows of a trouble that makes its answers wrong or its promises void.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

/// What is wrong with this process, by who found it; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Troubles(Arc<watch::Sender<BTreeMap<&'static str, String>>>);

impl Troubles {
    /// Says what is wrong with this part, or that nothing is any more.
    pub fn set(&self, part: &'static str, trouble: Option<String>) {
        self.0.send_if_modified(|all| match trouble {
            Some(trouble) => all.insert(part, trouble.clone()).as_ref() != Some(&trouble),
            None => all.remove(part).is_some(),
        });
    }

    /// Lets health say it, of these services and of the whole: now, and from now on until it is cancelled.
    pub async fn tell(self, reporter: HealthReporter, services: Vec<&'static str>, cancel: CancellationToken) {
        let mut seen = self.0.subscribe();
        let now = seen.borrow_and_update().is_empty();
        say(&reporter, &services, now).await;
        tokio::spawn(cancel.run_until_cancelled_owned(async move {
            // Its sender is held here, so that it does not end.
            let _open = self;
            while seen.changed().await.is_ok() {
                let well = seen.borrow_and_update().is_empty();
                say(&reporter, &services, well).await;
            }
        }));
    }
}

async fn say(reporter: &HealthReporter, services: &[&'static str], well: bool) {
    let status = if well { ServingStatus::Serving } else { ServingStatus::NotServing };
    for service in services.iter().copied().chain([""]) {
        reporter.set_service_status(service, status).await;
    }
}
