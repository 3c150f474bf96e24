"""What only shows on a real connection."""

from __future__ import annotations

import socket

import httpx
import pytest
from support.fake_calls import DELETE, QUERY, TOKEN, images, make
from support.loopback import serve

from service.testing.fake_answers import Answer
from service.testing.fake_vercel import create_fake_vercel


def test_a_reset_is_a_reset() -> None:
    fake = make(answers=[Answer(status="reset", times=2)])
    with serve(create_fake_vercel(fake)) as url, httpx.Client(base_url=url) as http:
        headers = {"authorization": f"Bearer {TOKEN}"}
        for _ in range(2):
            with pytest.raises(httpx.ReadError):
                http.post(DELETE + QUERY, json=images(1), headers=headers)
        assert http.post(DELETE + QUERY, json=images(1), headers=headers).status_code == 200
        assert [call["status"] for call in http.get("/_calls").json()["calls"]] == [None, None, 200]


def test_a_caller_that_goes_in_the_middle_is_no_call() -> None:
    fake = make()
    with serve(create_fake_vercel(fake)) as url:
        address = httpx.URL(url)
        with socket.create_connection((address.host, address.port or 0)) as half:
            half.sendall(f"POST {DELETE} HTTP/1.1\r\nHost: fake\r\nContent-Length: 99\r\n\r\n{{".encode())
        with httpx.Client(base_url=url, headers={"authorization": f"Bearer {TOKEN}"}) as http:
            assert http.get("/v2/user").status_code == 200
    assert [call["path"] for call in fake.calls] == ["/v2/user"]


def test_a_hang_is_silent_until_the_caller_gives_up() -> None:
    fake = make(answers=[Answer(status="hang")])
    headers = {"authorization": f"Bearer {TOKEN}"}
    with serve(create_fake_vercel(fake)) as url:
        with httpx.Client(base_url=url, timeout=0.1) as http, pytest.raises(httpx.ReadTimeout):
            http.post(DELETE + QUERY, json=images(1), headers=headers)
        with httpx.Client(base_url=url) as http:
            assert http.post(DELETE + QUERY, json=images(1), headers=headers).status_code == 200
    assert [call["status"] for call in fake.calls] == [None, 200]


@pytest.mark.parametrize(
    ("answer", "latency", "error"),
    [
        (Answer(status="hang", seconds=0.05), 0.0, httpx.ReadError),
        (Answer(status="hang", seconds=0.0), 0.05, httpx.ReadError),
        (Answer(status=200, seconds=60), 0.0, httpx.ReadTimeout),
        (Answer(status=200), 60.0, httpx.ReadTimeout),
    ],
)
def test_slow_answers(answer: Answer, latency: float, error: type[Exception]) -> None:
    fake = make(answers=[answer], latency=latency)
    with serve(create_fake_vercel(fake)) as url, httpx.Client(base_url=url, timeout=0.5) as http, pytest.raises(error):
        http.post(DELETE + QUERY, json=images(1), headers={"authorization": f"Bearer {TOKEN}"})
    assert [call["status"] for call in fake.calls] == [None]
