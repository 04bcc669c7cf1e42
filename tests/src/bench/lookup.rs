//! Whether time tells what an answer does not: an editor names persons of another county and persons of nowhere, in turn.

use std::time::Instant;

use qianshou_kernel::identity::Role;
use qianshou_proto::registry::v1::{Certificate, Worker};

use super::{Figure, percentiles, scaled};
use crate::{Database, World, sample, world::measure};

/// Persons registered in the other county.
const REGISTERED: u32 = 2_000;
const TIMES: u32 = 1_500;

/// Tries certificates of persons who are registered elsewhere, and of persons who are not, by dry runs.
///
/// # Panics
/// If one of them is found.
pub fn lookup(database: Database, scale: f64) -> Vec<Figure> {
    measure(database, |world: World| async move {
        let node = world.node("64").await;
        let elsewhere = |n| Worker { division: Some("640122".into()), ..sample::worker(n) };
        node.admin.put::<Worker>((0..REGISTERED).map(elsewhere).collect()).await.unwrap();
        let editor = node.caller(Role::Editor, "640104").await.only_asking();
        let asked = |n: u32| Certificate {
            division: Some("640104".into()),
            ..sample::certificate(n, &format!("workers/{}", sample::citizen(n)))
        };
        let (mut known, mut unknown) = (vec![], vec![]);
        for turn in 0..scaled(TIMES, scale) {
            for (n, took) in [(turn % REGISTERED, &mut known), (turn % REGISTERED + REGISTERED, &mut unknown)] {
                let began = Instant::now();
                editor.create(asked(n)).await.unwrap_err();
                took.push(began.elapsed());
            }
        }
        node.stop().await;
        let (known, unknown) = (&mut known, &mut unknown);
        [percentiles("lookup-elsewhere", Some(database), known), percentiles("lookup-nowhere", Some(database), unknown)]
            .concat()
    })
}
