//! Acts of the exchange that open a door, and need a second administrator where the node is configured so.

use prost::Message as _;
use qianshou_kernel::{
    error::{Result, shown},
    identity::{Caller, DoorAct, check_card, fingerprint},
};
use qianshou_proto::exchange::v1 as api;

use super::Admin;
use crate::domain::agreement::verdict;

/// Characters of a name from a card that are shown.
const NAME_MAX_CHARS: usize = 80;

impl Admin {
    /// A new peer, or another card of a known one, whose fingerprints were compared. What is refused anyway, or changes nothing, asks nobody.
    pub(super) async fn second_look_at_peer(&self, caller: &Caller, asked: &api::AddPeerRequest) -> Result<()> {
        let Some(card) = asked.card.as_ref().filter(|_| asked.confirmed()) else { return Ok(()) };
        if check_card(card).is_err() || card.node() == self.0.node() {
            return Ok(());
        }
        let known = self.0.store.peer_find(card.node()).await?;
        if known.as_ref().is_some_and(|peer| peer.card == *card) {
            return Ok(());
        }
        let (node, name) = (card.node(), shown(card.display_name(), NAME_MAX_CHARS));
        let key = fingerprint(card.signing_key.as_deref().unwrap_or_default());
        let (zh, en) = if known.is_some() {
            ("更换对等节点", "replace the card of the peer")
        } else {
            ("添加对等节点", "add the peer")
        };
        let told =
            [format!("{zh}{node}（{name}），签名密钥指纹 {key}"), format!("{en} {node} ({name}), signing key {key}")];
        self.pass(caller, "ExchangeAdminService/AddPeer", asked.encode_to_vec(), told).await
    }

    /// The signature under terms by which personal data cross.
    pub(super) async fn second_look_at_agreement(
        &self,
        caller: &Caller,
        asked: &api::SignAgreementRequest,
    ) -> Result<()> {
        let Some(held) = self.0.store.agreement_find(asked.id()).await? else { return Ok(()) };
        let digest = hex::encode(held.accord.digest);
        let is_told = asked.digest().eq_ignore_ascii_case(&digest);
        if verdict(held.ours.as_ref()).is_some() || !held.accord.names_personal || !is_told {
            return Ok(());
        }
        let [from, to] = [&held.accord.provider, &held.accord.consumer];
        let kinds = held.accord.clauses.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let told = [
            format!("签署含个人信息（L3）的协议{}：{from} → {to}，{kinds}，摘要 {digest}", asked.id()),
            format!(
                "sign the agreement {}, which names personal data (L3): {from} → {to}, {kinds}, digest {digest}",
                asked.id()
            ),
        ];
        self.pass(caller, "ExchangeAdminService/SignAgreement", asked.encode_to_vec(), told).await
    }

    async fn pass(&self, caller: &Caller, act: &'static str, asked: Vec<u8>, told: [String; 2]) -> Result<()> {
        let act = DoorAct { act, area: self.0.node().to_owned(), asked, told };
        self.0.ground.four_eyes.pass(caller, act).await
    }
}
