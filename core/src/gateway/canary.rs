//! Deliberate bugs. Test only: a simulator that does not find them is no judge.
//!
//! Without the feature `canaries` nothing of this is in the program: [`Gateway::canary`] is `false`
//! at compile time.

use super::Gateway;

/// A bug that can be switched on, one at a time, by [`crate::Config::canary`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "canaries"), allow(unreachable_pub))]
pub enum Canary {
    /// A client that resets its connection has no `DELETE`.
    DeleteLostOnReset,
    /// The `DELETE` does not wait for the calls before it.
    DeleteEarly,
    /// A `DELETE` that was taken is sent again.
    DeleteTwice,
    /// A connect does not wait for the `DELETE` of the connection before it.
    OverlapOnReconnect,
    /// The last message of those that wait is sent first.
    LastMessageFirst,
    /// A call that the API may have seen is sent again.
    BrokenCallRepeated,
    /// An answer finds its call by the slot alone.
    GenerationIgnored,
    /// The body of a failed call goes to the client.
    FailureToldToClient,
    /// The answer to a message goes to the next connection of the id.
    AnswerToSuccessor,
    /// A push while the API decides is answered 202 and forgotten.
    QueuedPushDropped,
    /// A push while the API decides is delivered twice.
    QueuedPushTwice,
    /// `If-Match` is not looked at.
    IfMatchIgnored,
    /// One message more than allowed may wait.
    ReceiveQueueOffByOne,
    /// Pushes are taken however much waits.
    SendQueueUnbounded,
    /// Reading is not taken up again when there is room.
    ResumeForgotten,
    /// A pong is not waited for.
    PongDeadlineForgotten,
    /// The close frame is answered before the `DELETE` is.
    CloseAnsweredEarly,
    /// Connects that wait are not refused when a drain begins.
    DrainForgetsWaiting,
    /// A refused client still counts.
    SeatLeaked,
}

#[cfg(feature = "canaries")]
impl Canary {
    /// All of them.
    pub const ALL: &[Canary] = &[
        Canary::DeleteLostOnReset,
        Canary::DeleteEarly,
        Canary::DeleteTwice,
        Canary::OverlapOnReconnect,
        Canary::LastMessageFirst,
        Canary::BrokenCallRepeated,
        Canary::GenerationIgnored,
        Canary::FailureToldToClient,
        Canary::AnswerToSuccessor,
        Canary::QueuedPushDropped,
        Canary::QueuedPushTwice,
        Canary::IfMatchIgnored,
        Canary::ReceiveQueueOffByOne,
        Canary::SendQueueUnbounded,
        Canary::ResumeForgotten,
        Canary::PongDeadlineForgotten,
        Canary::CloseAnsweredEarly,
        Canary::DrainForgetsWaiting,
        Canary::SeatLeaked,
    ];
}

impl Gateway {
    /// Whether this bug is switched on.
    #[inline(always)]
    pub(super) fn canary(&self, which: Canary) -> bool {
        #[cfg(feature = "canaries")]
        return self.config.canary == Some(which);
        #[cfg(not(feature = "canaries"))]
        {
            let _ = which;
            false
        }
    }
}
