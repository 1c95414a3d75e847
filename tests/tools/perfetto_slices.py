"""The slices of a Perfetto trace as JSON, read by the schema that Perfetto publishes."""

import json
import sys

from google.protobuf.unknown_fields import UnknownFieldSet
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

trace = Trace()
with open(sys.argv[1], "rb") as file:
    trace.ParseFromString(file.read())

unknown = 0
tracks, slices, stacks = {}, [], {}
for packet in trace.packet:
    for message in (packet, packet.track_event, packet.track_descriptor):
        unknown += len(UnknownFieldSet(message))
    if packet.HasField("track_descriptor"):
        tracks[packet.track_descriptor.uuid] = packet.track_descriptor
    if not packet.HasField("track_event"):
        continue
    event = packet.track_event
    # A track is told of before it is used.
    track = tracks[event.track_uuid]
    stack = stacks.setdefault(event.track_uuid, [])
    if event.type == TrackEvent.TYPE_SLICE_BEGIN:
        slice = {
            "track": track.name,
            "tid": track.thread.tid,
            "name": event.name,
            "category": event.categories[0],
            "start_ns": packet.timestamp,
            "within": stack[-1]["name"] if stack else None,
            "facts": {fact.name: fact.string_value or fact.uint_value for fact in event.debug_annotations},
            "flows": list(event.flow_ids),
            "ends_flows": list(event.terminating_flow_ids),
        }
        stack.append(slice)
        slices.append(slice)
    else:
        slice = stack.pop()
        slice["wall_ns"] = packet.timestamp - slice["start_ns"]
        assert slice["wall_ns"] >= 0, slice
        if stack:
            assert stack[-1]["start_ns"] <= slice["start_ns"], slice
assert not any(stacks.values()), "slices without end"
json.dump({"unknown": unknown, "slices": slices}, sys.stdout)
