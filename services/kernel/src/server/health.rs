//! How this process says that it is well: `grpc.health.v1.Health` answers NOT_SERVING, for every service and for the whole, while
//! anybody in it knows of a trouble that makes its answers wrong or its promises void.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

/// What is wrong with this process, by who found it; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Troubles(Arc<watch::Sender<BTreeMap<&'static str, Trouble>>>);

#[derive(Clone, Debug, PartialEq)]
struct Trouble {
    text: String,
    /// The services that it makes useless; empty: all, and the whole.
    services: &'static [&'static str],
}

impl Troubles {
    /// Says what is wrong with this part, or that nothing is any more.
    pub fn set(&self, part: &'static str, trouble: Option<String>) {
        self.set_of(part, &[], trouble);
    }

    /// As [`Troubles::set`], of what makes these services useless and leaves the others well; empty: all are useless.
    pub fn set_of(&self, part: &'static str, services: &'static [&'static str], trouble: Option<String>) {
        self.0.send_if_modified(|all| match trouble {
            Some(text) => {
                let trouble = Trouble { text, services };
                all.insert(part, trouble.clone()).as_ref() != Some(&trouble)
            }
            None => all.remove(part).is_some(),
        });
    }

    /// What is wrong, part by part.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        self.0.borrow().iter().map(|(part, trouble)| format!("{part}: {}", trouble.text)).collect()
    }

    /// Lets health say it, of these services and of the whole: now, and from now on until it is cancelled.
    pub async fn tell(self, reporter: HealthReporter, services: Vec<&'static str>, cancel: CancellationToken) {
        let mut seen = self.0.subscribe();
        let now = seen.borrow_and_update().clone();
        say(&reporter, &services, &now).await;
        tokio::spawn(cancel.run_until_cancelled_owned(async move {
            // Its sender is held here, so that it does not end.
            let _open = self;
            while seen.changed().await.is_ok() {
                let now = seen.borrow_and_update().clone();
                say(&reporter, &services, &now).await;
            }
        }));
    }
}

async fn say(reporter: &HealthReporter, services: &[&'static str], troubles: &BTreeMap<&'static str, Trouble>) {
    for service in services.iter().copied().chain([""]) {
        let meant = |trouble: &Trouble| trouble.services.is_empty() || trouble.services.contains(&service);
        let well = !troubles.values().any(meant);
        let status = if well { ServingStatus::Serving } else { ServingStatus::NotServing };
        reporter.set_service_status(service, status).await;
    }
}
