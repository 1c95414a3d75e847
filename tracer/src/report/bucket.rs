//! Named causes of wall time.

/// A named cause of wall time. The order is that of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    LlmDns,
    LlmConnect,
    LlmTls,
    LlmSend,
    LlmFirstByte,
    LlmStream,
    LlmBackoff,
    NetOther,
    Client,
    PythonCpu,
    PythonGc,
    PythonImport,
    WaitGil,
    WaitLoop,
    WaitExecutor,
    WaitRunqueue,
    WaitLock,
    WaitDisk,
    WaitSleep,
    WaitChild,
    Unattributed,
}

impl Bucket {
    /// Every bucket, in the order of reports.
    pub const ALL: [Bucket; 21] = [
        Bucket::LlmDns,
        Bucket::LlmConnect,
        Bucket::LlmTls,
        Bucket::LlmSend,
        Bucket::LlmFirstByte,
        Bucket::LlmStream,
        Bucket::LlmBackoff,
        Bucket::NetOther,
        Bucket::Client,
        Bucket::PythonCpu,
        Bucket::PythonGc,
        Bucket::PythonImport,
        Bucket::WaitGil,
        Bucket::WaitLoop,
        Bucket::WaitExecutor,
        Bucket::WaitRunqueue,
        Bucket::WaitLock,
        Bucket::WaitDisk,
        Bucket::WaitSleep,
        Bucket::WaitChild,
        Bucket::Unattributed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Bucket::LlmDns => "llm.dns",
            Bucket::LlmConnect => "llm.connect",
            Bucket::LlmTls => "llm.tls",
            Bucket::LlmSend => "llm.send",
            Bucket::LlmFirstByte => "llm.first_byte",
            Bucket::LlmStream => "llm.stream",
            Bucket::LlmBackoff => "llm.backoff",
            Bucket::NetOther => "net.other",
            Bucket::Client => "client",
            Bucket::PythonCpu => "python.cpu",
            Bucket::PythonGc => "python.gc",
            Bucket::PythonImport => "python.import",
            Bucket::WaitGil => "wait.gil",
            Bucket::WaitLoop => "wait.loop",
            Bucket::WaitExecutor => "wait.executor",
            Bucket::WaitRunqueue => "wait.runqueue",
            Bucket::WaitLock => "wait.lock",
            Bucket::WaitDisk => "wait.disk",
            Bucket::WaitSleep => "wait.sleep",
            Bucket::WaitChild => "wait.child",
            Bucket::Unattributed => "unattributed",
        }
    }

    pub fn from_name(name: &str) -> Option<Bucket> {
        Bucket::ALL.into_iter().find(|bucket| bucket.name() == name)
    }
}
