//! This node's own certificates: who serves with one that has ended is told so at the start, in the log and by health, with the command
//! that renews it.

use std::{fs, sync::Arc, time::Duration};

use qianshou_kernel::{
    clock::{Clock, day_of, format_day},
    identity::{NodeKeys, validity_ms},
    server::Troubles,
};
use qianshou_proto::exchange::v1::{
    exchange_admin_service_server::SERVICE_NAME as ADMIN, exchange_service_server::SERVICE_NAME as PEER,
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tokio_util::sync::CancellationToken;

/// What makes all of them anew, for the keys that are there.
pub(crate) const RENEW: &str = "qianshou key renew --config …";
/// How often they are looked at.
const EVERY: Duration = Duration::from_secs(60);

/// A certificate of this node's: the file it stands in, and DER; empty: it cannot be read.
pub(crate) fn own(keys: &NodeKeys) -> [(&'static str, Vec<u8>); 3] {
    let ca = fs::read(&keys.ca_path).ok().and_then(|pem| CertificateDer::from_pem_slice(&pem).ok());
    [
        ("ca.pem", ca.map(|der| der.to_vec()).unwrap_or_default()),
        ("server.pem", keys.server.leaf().to_vec()),
        ("peer.pem", keys.peer.leaf().to_vec()),
    ]
}

/// What is wrong with a certificate today, Chinese and English.
pub(crate) fn wrong(der: &[u8], now_ms: i64) -> Option<(String, String)> {
    let day = |ms| format_day(day_of(ms));
    match validity_ms(der) {
        Some((from, _)) if now_ms < from => {
            Some((format!("自 {} 起方有效", day(from)), format!("begins on {}", day(from))))
        }
        Some((_, until)) if until < now_ms => {
            Some((format!("已于 {} 失效", day(until)), format!("ended on {}", day(until))))
        }
        Some(_) => None,
        None => Some(("无法读取".to_owned(), "cannot be read".to_owned())),
    }
}

/// Says now and from now on which of this node's certificates do not hold. Peers refuse `peer.pem` then, and only the exchange is the worse
/// for it; people's programs refuse `server.pem`.
pub(crate) async fn watch(keys: Arc<NodeKeys>, clock: Clock, troubles: Troubles, cancel: CancellationToken) {
    let mut beat = tokio::time::interval(EVERY);
    let mut told = vec![];
    while cancel.run_until_cancelled(beat.tick()).await.is_some() {
        let mut all = vec![];
        for (part, file, services) in
            [("server certificate", "server.pem", &[][..]), ("peer certificate", "peer.pem", &[ADMIN, PEER][..])]
        {
            let der = if file == "peer.pem" { keys.peer.leaf() } else { keys.server.leaf() };
            let trouble = wrong(der, clock.now_ms()).map(|(zh, en)| {
                format!("{file} {zh}；请执行 {RENEW} 并重新启动 | {file} {en}: run `{RENEW}` and start again")
            });
            all.extend(trouble.clone());
            troubles.set_of(part, services, trouble);
        }
        if all != told {
            for trouble in &all {
                tracing::error!(%trouble, "a certificate of this node does not hold");
            }
            told = all;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_out_of_its_days_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(1_717_214_400_000);
        let keys = NodeKeys::create_on(&folder.path().join("keys"), "64", &[], &clock).unwrap();
        for (name, der) in own(&keys) {
            let told = |days: i64| wrong(&der, clock.now_ms() + days * 86_400_000).map(|(_, en)| en);
            assert_eq!(told(0), None, "{name}");
            assert_eq!(told(-2).as_deref(), Some("begins on 2024-05-31"), "{name}");
            assert!(told(31 * 365).unwrap().starts_with("ended on 20"), "{name}");
        }
        assert!(wrong(b"", 0).is_some());
    }

    /// Health hears of it by the service that does not work any more, and hears when it is well again.
    #[tokio::test]
    async fn an_ended_certificate_turns_the_exchange_red() {
        let folder = tempfile::tempdir().unwrap();
        let keys = NodeKeys::create_on(&folder.path().join("keys"), "64", &[], &Clock::fixed(0)).unwrap();
        let (troubles, cancel) = (Troubles::default(), CancellationToken::new());
        tokio::spawn(watch(Arc::new(keys), Clock::system(), troubles.clone(), cancel.clone()));
        while troubles.told().len() < 2 {
            tokio::task::yield_now().await;
        }
        assert!(troubles.told().iter().all(|told| told.contains("ended on") && told.contains(RENEW)));
        cancel.cancel();
    }
}
