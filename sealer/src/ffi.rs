//! SHELL: what librdkafka has and its safe wrapper does not give: a topic's id, leader epochs, and how far a log is known to go.
//!
//! Pointers come from the library and live no longer than the call that got them; every one that must be freed is freed by a
//! guard, also when something fails half-way.
#![expect(unsafe_code, reason = "the safe wrapper has neither topic ids nor leader epochs")]

use std::ffi::{CStr, CString, c_int};
use std::time::Duration;

use rdkafka::bindings as ffi;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafka;
use schemas::{Offset, Topic};

/// Calls `free` with a pointer when dropped.
struct Guard<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the library's constructor that this destructor belongs to, and is freed once.
        unsafe { (self.1)(self.0) }
    }
}

/// The leader epoch that the message was fetched under; `None` where the broker does not say.
pub(crate) fn leader_epoch(message: &BorrowedMessage<'_>) -> Option<u32> {
    // SAFETY: the pointer is valid as long as the message is borrowed.
    let epoch = unsafe { ffi::rd_kafka_message_leader_epoch(message.ptr()) };
    u32::try_from(epoch).ok()
}

/// Says under which leader's epoch the message before each position was read, for the brokers to compare with their log.
pub(crate) fn set_leader_epoch(list: &TopicPartitionList, epoch: u32) {
    let epoch = i32::try_from(epoch).unwrap_or(i32::MAX);
    // SAFETY: the list is valid while it is borrowed, `cnt` is the number of its elements, and nobody else has it.
    unsafe {
        let list = &*list.ptr();
        for index in 0..usize::try_from(list.cnt).unwrap_or_default() {
            ffi::rd_kafka_topic_partition_set_leader_epoch(list.elems.add(index), epoch);
        }
    }
}

/// First offset that a partition's log had not reached when it was last fetched from; `None` where it was not yet.
///
/// `client` must be that of a living consumer.
pub(crate) fn end(client: *mut RDKafka, topic: &Topic, partition: i32) -> Option<Offset> {
    let name = CString::new(topic.as_str()).ok()?;
    let (mut low, mut high) = (0, 0);
    // SAFETY: `client` is valid by contract; the name and both numbers outlive the call.
    let answer = unsafe {
        ffi::rd_kafka_get_watermark_offsets(
            client,
            name.as_ptr(),
            partition,
            &raw mut low,
            &raw mut high,
        )
    };
    let known = answer == ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    u64::try_from(high).ok().filter(|_| known).map(Offset)
}

/// How a broker that has no topic ids spells one: 16 zero bytes.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// A topic as its brokers describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Described {
    /// Its id, spelled as Kafka's own tools spell it; `None` where the broker has none.
    pub(crate) id: Option<String>,
    /// 0 where there is no such topic.
    pub(crate) partitions: u32,
}

/// Asks the brokers for a topic.
///
/// `client` must be that of a living consumer.
pub(crate) fn describe(
    client: *mut RDKafka,
    topic: &str,
    timeout: Duration,
) -> Result<Described, String> {
    let name = CString::new(topic).map_err(|error| error.to_string())?;
    let mut names = [name.as_ptr()];
    let timeout = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: `client` is valid by contract; names, options and queue outlive the call, which copies what it keeps; the event
    // is the answer to this request alone, since the queue is new.
    unsafe {
        let topics = Guard(
            ffi::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()),
            ffi::rd_kafka_TopicCollection_destroy,
        );
        let queue = Guard(ffi::rd_kafka_queue_new(client), ffi::rd_kafka_queue_destroy);
        ffi::rd_kafka_DescribeTopics(client, topics.0, std::ptr::null(), queue.0);
        let event = ffi::rd_kafka_queue_poll(queue.0, timeout);
        if event.is_null() {
            return Err("no answer in time".to_owned());
        }
        let event = Guard(event, ffi::rd_kafka_event_destroy);
        let result = ffi::rd_kafka_event_DescribeTopics_result(event.0);
        if result.is_null() {
            return Err(text(ffi::rd_kafka_event_error_string(event.0)).unwrap_or_default());
        }
        let mut count = 0;
        let described = ffi::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if described.is_null() || count != 1 {
            return Ok(Described::default());
        }
        let error = ffi::rd_kafka_TopicDescription_error(*described);
        let code = ffi::rd_kafka_error_code(error);
        if code == ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART {
            return Ok(Described::default());
        }
        if code != ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(text(ffi::rd_kafka_error_string(error)).unwrap_or_default());
        }
        let id = ffi::rd_kafka_TopicDescription_topic_id(*described);
        let id = if id.is_null() { None } else { text(ffi::rd_kafka_Uuid_base64str(id)) };
        let mut partitions = 0;
        ffi::rd_kafka_TopicDescription_partitions(*described, &raw mut partitions);
        Ok(Described {
            id: id.filter(|id| id != NO_ID),
            partitions: u32::try_from(partitions).unwrap_or(u32::MAX),
        })
    }
}

/// Copies a text of the library; `None` for a null pointer or an empty text.
///
/// # Safety
/// The pointer is null or a C string.
unsafe fn text(text: *const std::ffi::c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: by contract.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
    (!text.is_empty()).then_some(text)
}
