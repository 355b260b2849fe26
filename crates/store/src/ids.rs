//! Making ids: UUID version 7 (RFC 9562), so that ids sort by the time they were made.
//!
//! Lives here: `new` for every id type. May not: meaning in ids beyond their order.

use domain::id::{
    AccountId, AlertId, ChannelId, CloneId, DeliveryId, ExemptionId, ExerciseFileId, ExerciseId, FeedId, HoldId, ItemId, LinkId, OrphanId, PersonId,
    PlanEventId, PlanSignatureId, PlanVersionId, PolicyId, ProviderId, RepositoryId, RestoreTestId, ReviewId, RiskId, RunId, ScheduleId, ServiceId, SnapshotId,
    SourceId, TestDefinitionId, TickId, TokenId, WaiverId,
};
use uuid::Uuid;

/// An id type that can be made anew.
pub trait NewId: Sized {
    fn new() -> Self;
}

/// The id of a row that nobody outside of its table names.
pub(crate) fn of_row() -> Uuid {
    Uuid::now_v7()
}

macro_rules! new_id {
    ($($name:ident),+) => {$(
        impl NewId for $name {
            fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }
    )+};
}

new_id!(
    AccountId,
    AlertId,
    ChannelId,
    CloneId,
    DeliveryId,
    ExemptionId,
    ExerciseFileId,
    ExerciseId,
    FeedId,
    HoldId,
    ItemId,
    LinkId,
    OrphanId,
    PersonId,
    PlanEventId,
    PlanSignatureId,
    PlanVersionId,
    PolicyId,
    ProviderId,
    RepositoryId,
    RestoreTestId,
    ReviewId,
    RiskId,
    RunId,
    ScheduleId,
    ServiceId,
    SnapshotId,
    SourceId,
    TestDefinitionId,
    TickId,
    TokenId,
    WaiverId
);
