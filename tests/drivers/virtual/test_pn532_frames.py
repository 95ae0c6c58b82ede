"""The PN532's host frames: every form is read, also after half a frame or noise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drivers.virtual.pn532_frames import HALF_FRAME_LIFE_S, HostFrames, response_frame

bodies = st.binary(min_size=1, max_size=264)


def host_frame(body: bytes) -> bytes:
    """A host's frame for a command and its data (UM0701-02, 6.2.1), extended from 256 bytes on."""
    data = b"\xd4" + body
    if len(data) < 256:
        head = bytes([len(data), 256 - len(data) & 0xFF])
    else:
        length = len(data).to_bytes(2, "big")
        head = b"\xff\xff" + length + bytes([-sum(length) & 0xFF])
    return b"\x00\x00\xff" + head + data + bytes([-sum(data) & 0xFF]) + b"\x00"


@given(st.lists(bodies, max_size=4), st.integers(1, 300))
def test_frames_are_found_however_the_line_cuts_them(sent: list[bytes], step: int) -> None:
    frames = HostFrames()
    stream = b"".join(b"\x55\x55\x00\x00" + host_frame(body) for body in sent)
    heard = [
        body
        for at in range(0, len(stream), step)
        for body in frames.feed(stream[at : at + step], 1.0)
    ]
    assert heard == sent


@given(bodies, st.data())
def test_after_half_a_frame_and_a_pause_the_next_one_is_whole(
    body: bytes, data: st.DataObject
) -> None:
    frame = host_frame(body)
    half = frame[: data.draw(st.integers(0, len(frame) - 3))]
    frames = HostFrames()
    assert frames.feed(half, 1.0) == []
    assert frames.feed(frame, 1.0 + 2 * HALF_FRAME_LIFE_S) == [body]


@given(bodies, st.data())
def test_a_reader_that_comes_back_at_once_is_heard_after_a_few_tries(
    body: bytes, data: st.DataObject
) -> None:
    frame = host_frame(body)
    frames = HostFrames()
    frames.feed(frame[: data.draw(st.integers(0, len(frame) - 3))], 1.0)
    knock = host_frame(b"\x02")
    assert any(b"\x02" in frames.feed(knock, 1.0) for _ in range(40))


@given(st.binary(max_size=400), bodies)
def test_noise_does_not_hide_a_frame_that_follows_a_pause(noise: bytes, body: bytes) -> None:
    frames = HostFrames()
    frames.feed(noise, 1.0)
    assert frames.feed(host_frame(body), 2.0) == [body]


@given(bodies, st.data(), st.integers(1, 255))
def test_a_damaged_frame_is_no_command(body: bytes, data: st.DataObject, flip: int) -> None:
    frame = bytearray(host_frame(body))
    frame[data.draw(st.integers(3, len(frame) - 2))] ^= flip
    assert body not in HostFrames().feed(bytes(frame), 1.0)


def test_acknowledgements_of_the_host_are_passed_over() -> None:
    frames = HostFrames()
    stream = bytes.fromhex("0000FF00FF00") + bytes.fromhex("0000FFFF0000") + host_frame(b"\x02")
    assert frames.feed(stream, 1.0) == [b"\x02"]


@given(st.integers(0, 254), st.binary(max_size=262))
def test_responses_have_right_checksums(command: int, data: bytes) -> None:
    frame = response_frame(command, data)
    size = len(data) + 2
    body = frame[-size - 2 : -1]
    assert frame.startswith(b"\x00\x00\xff")
    assert frame.endswith(b"\x00")
    assert sum(body) & 0xFF == 0
    assert body[:2] == bytes([0xD5, command + 1])
    head = frame[3 : -size - 2]
    assert head[:2] == (b"\xff\xff" if size > 255 else bytes([size, -size & 0xFF]))
    assert sum(head[2:] if size > 255 else head) & 0xFF == 0
