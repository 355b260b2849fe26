//! Identifiers as types, so that a run can never be looked up with a service's id.
//!
//! Lives here: the id types. May not: making ids (that needs a clock and randomness; see `store::ids`).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(s).map(Self)
            }
        }
    )+};
}

id! {
    /// A repository: the place where backups live.
    RepositoryId,
    /// A service whose return is promised.
    ServiceId,
    /// Data of a service, read by one kind of driver.
    SourceId,
    /// What a source lists: a user's directory, a database, an image.
    ItemId,
    /// One human across services.
    PersonId,
    /// An immutable copy of one item at a time.
    SnapshotId,
    /// When a kind of work is to be done, again and again.
    ScheduleId,
    /// One time that a schedule asked for work, in the ledger.
    TickId,
    /// One execution of a kind of work.
    RunId,
    /// One recorded restore test.
    RestoreTestId,
    /// What a restore test is made of.
    TestDefinitionId,
    /// Rules of retention with a name.
    PolicyId,
    /// One exercise of people.
    ExerciseId,
    /// A file that belongs to an exercise.
    ExerciseFileId,
    /// What stands against forgetting.
    HoldId,
    /// One condition that needs attention, from its opening to its end.
    AlertId,
    /// A place where messages go.
    ChannelId,
    /// One message to one receiver.
    DeliveryId,
    /// Images and volume snapshots in a cloud that no record names.
    OrphanId,
    /// An access token of a program.
    TokenId,
    /// An OpenID provider.
    ProviderId,
    /// Somebody as one provider knows them.
    AccountId,
    /// A finding of the linter that a person takes upon themselves for a time.
    WaiverId,
    /// One review that was done.
    ReviewId,
    /// Why, and until when, a review need not be done.
    ExemptionId,
    /// An address at which a calendar program reads what is due.
    FeedId,
    /// One risk of a service.
    RiskId,
    /// One version of a service's continuity plan.
    PlanVersionId,
    /// One signature under a version of a plan.
    PlanSignatureId,
    /// One step of such a version's life.
    PlanEventId,
    /// A read-only link for guests.
    LinkId,
    /// A clone of an instance.
    CloneId,
}
