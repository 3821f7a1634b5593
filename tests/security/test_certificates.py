"""Clients that present different certificates never share, however they came by them."""

import ssl

import httpx
import httpx2
import openai
import pytest

from semantic_llm_cache import CacheKeyError
from semantic_llm_cache.keys.certificates import client_certificates
from semantic_llm_cache.keys.fingerprint import fingerprint_instance

# Made for these tests, and good for nothing else.
CERTIFICATES = {
    "a": """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgBJf3df089MDUFI32
BU83XT+d0kod+W9lHsISE4gSC7ihRANCAATgVhgmYDVl+YHAcRmB8Au2C7S7DRwz
cLdM7kRKN40HjMVBmCCQjDvB7t7BGpN0PWVtfp33wDOWtvA639c5p5xW
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIUHEwenLhpNiMpAeOkT49vOOLGIkQwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGdGVzdCBhMCAXDTI2MTEzMDA4NDQ0NVoYDzIxMjYxMTA2MDg0
NDQ1WjARMQ8wDQYDVQQDDAZ0ZXN0IGEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AATgVhgmYDVl+YHAcRmB8Au2C7S7DRwzcLdM7kRKN40HjMVBmCCQjDvB7t7BGpN0
PWVtfp33wDOWtvA639c5p5xWo1MwUTAdBgNVHQ4EFgQU/+T1aH3hrqUkwY06hLub
uv1SnLQwHwYDVR0jBBgwFoAU/+T1aH3hrqUkwY06hLubuv1SnLQwDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA5sWhQG5Uw250yPXTgJ8FaDjspbQA
TZGCBk+9dOAX7RgCIDuPuiNGwhC7MibqLLJ8VsT6D8PRJrJ3JeGU17iS0jAz
-----END CERTIFICATE-----
""",
    "b": """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgf5gckse/N1AYGRTq
pIPSiTMhnjOFmMGOIVmpXv/bGbyhRANCAAQqGernubdSVaCOmbdMrw+2wp1LSS59
cFN0qva8DZHKjD6gYGAMHAm7fKREsabkqIJCrTwU8rciAK0EKQoU9Nwz
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIUH9tSZB8w3egSG85YCLXw772j9KAwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGdGVzdCBiMCAXDTI2MTEzMDA4NDQ0NVoYDzIxMjYxMTA2MDg0
NDQ1WjARMQ8wDQYDVQQDDAZ0ZXN0IGIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAQqGernubdSVaCOmbdMrw+2wp1LSS59cFN0qva8DZHKjD6gYGAMHAm7fKREsabk
qIJCrTwU8rciAK0EKQoU9Nwzo1MwUTAdBgNVHQ4EFgQUsR0YGw7rDDg+5ZIc7Ry3
jmAytt4wHwYDVR0jBBgwFoAUsR0YGw7rDDg+5ZIc7Ry3jmAytt4wDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA0q/QtFAPvcrBVYsMsf7QJTsSJ6n8
oNO5w2Z8ZqQL554CIGh6IGhUakQgci1SJuoaLQ30h8AT1pNnU/SGirzfTcew
-----END CERTIFICATE-----
""",
    "rsa": """\
-----BEGIN PRIVATE KEY-----
MIIEvwIBADANBgkqhkiG9w0BAQEFAASCBKkwggSlAgEAAoIBAQDGSHNqsGIGrkxo
QCFu+5bPGc0nVrd33CVvb6i2gVOOHnHK1k7oocmEmvnt4cALmW/FhUpf7ao7N2c5
xyy1qHb992CfiVvOu8ZHotuJNjjT34LnLvTQi9T8gHbBEAeQR1A8pPFBrmWjKqr7
aygJFz3ty2QV1AZ+5VO1XF1AsYbqn+vsfvpJjxM8KPN+oAvdomgpUBPUpYPXLaSQ
ev427r/RsJHRaZbC6xDaFbO4WbbVJQR05QXscB3phXzdQ3DGG7I1lvTX7x8cb6yF
rY+2au5hJL99T3b0R04y+3mDHg2YnAudkb9nlh21UrLFO7yjeTfYDEyUXFupZ/r7
RtRbhtcRAgMBAAECggEARsgoQ2axp5bi+bgi9z5iqI2aWbewCN6SkoQ2oufpzur5
TiJQyuSuTmMQYyXaa4mbh9Q8J6Bsy3TMqah7QmHgEGsVl/3tww/vCTWOzx2HDcNV
NHfjtuqj3ntxaRvyx0Nd1jg/U2YRLD0YCmZHRW+BkPixQsWMiBIPXseZFnYJJonN
OkUYSKJUT/CCnzXXc2ojjwP1N7q+rz77YW/NKCPdMkzKT4bXMVfGAo2d4UuMbJij
IFsX85VjkZxIW0RP+o3i7+yBhh5rLhwGtG73bG1WfVNZYhb5NC8r1bB4OrKDoBiR
t3BTTN4udSbmJe6BY2pJRXkEgLMayrHS1ZG4GZqEHQKBgQDo0481SvF5C+LCJ8Mo
FLkmlFVK8gG//eKzNHB0Di3y37HNeDtgBQCvA2QL0eBL7R8AGdxqLrpoqLLCbDGu
PXQ65897pwxXM/G3OQccjU17FqF5u1tRPAuBrZkO5n1+KsBVxEmixp67pVon+TRi
DCQSr9ULc/SH0lZn4diiGr/uCwKBgQDaBLjl0GusFmtCgtuMLSCMiVTF+l/Z7k5W
zY6IXYG5aT8tyXLyYcp7HL21syNmz/A4+mt4d0eziQYBV9buJvBkeU27q7ojG7Nh
rhBixn4pQfq5XxLC4pwdWtj6u9lWYRB3WyLPydIFkplAY8iB7io7Z+Xodmg0giiz
h1S5y1ts0wKBgQDfdjYsCzsKV+sTOECqFoHCUnoujWo6kH3mS/1mljlps2Oe9rfe
J88JKvL6GTzzAqpPWYLg8up9CvVPf7KLLnaBFv5gCuvgQn3LwlNeBw0Hh6gCA13Y
8Q2GME0ILRbjYjrp1pRqQ8IUDdcjKJ8rP8XbnaGX9XoMZkgCOpTGuW/fEwKBgQDV
Kw7abZoJrfX8F1SxT6JmpxSDaxZzUIW6a8w0WzEu59BFZZYFlkZTb7uyQFCaAzC/
lWKlbANocM61W3ykaOBdbRnrKLKcB0ayeG4/FhNfJcsPmv0OHmJEdYJ4TlnoEon2
Gd8EyjGXD0rW4Xm4SPV0Fld+nt+uj6FaQDVAYKyozwKBgQCToReNtVXmTn63t+v7
NLJU9zAV15dtueqX4SFU0oCdhCBZ3XoSbEystoVDvA9BoWjlb8BrGtNxAN3vJwB/
jTTgE0AY9x+NhYV4L+g8dtdi7VfgO6Lj9XLKbzmB9ZxIj2X9S+4HgZL+BMJ1Tcsf
wn3YV7tvE4Ya8XJkriKvz8IIfA==
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIDCTCCAfGgAwIBAgIUN6JGjSj0NVFeOkCDuikdKN1nL0YwDQYJKoZIhvcNAQEL
BQAwEzERMA8GA1UEAwwIdGVzdCByc2EwIBcNMjYxMTMwMDg0NDQ2WhgPMjEyNjEx
MDYwODQ0NDZaMBMxETAPBgNVBAMMCHRlc3QgcnNhMIIBIjANBgkqhkiG9w0BAQEF
AAOCAQ8AMIIBCgKCAQEAxkhzarBiBq5MaEAhbvuWzxnNJ1a3d9wlb2+otoFTjh5x
ytZO6KHJhJr57eHAC5lvxYVKX+2qOzdnOccstah2/fdgn4lbzrvGR6LbiTY409+C
5y700IvU/IB2wRAHkEdQPKTxQa5loyqq+2soCRc97ctkFdQGfuVTtVxdQLGG6p/r
7H76SY8TPCjzfqAL3aJoKVAT1KWD1y2kkHr+Nu6/0bCR0WmWwusQ2hWzuFm21SUE
dOUF7HAd6YV83UNwxhuyNZb01+8fHG+sha2PtmruYSS/fU929EdOMvt5gx4NmJwL
nZG/Z5YdtVKyxTu8o3k32AxMlFxbqWf6+0bUW4bXEQIDAQABo1MwUTAdBgNVHQ4E
FgQUcPMzba3uNvuquas/2KoetPBk/ggwHwYDVR0jBBgwFoAUcPMzba3uNvuquas/
2KoetPBk/ggwDwYDVR0TAQH/BAUwAwEB/zANBgkqhkiG9w0BAQsFAAOCAQEAErXf
8DAkHklqxt20wSua2edwVQjXZ2GCRoXzrd6qwsyRLYNAZAZD5/zrz4DedMaMXXxc
+MbT9agT/M8afk59AkOrsoRRdiAYHFLdX+qtPzl3SqnvoKHD7u6EeVPeF2IbZZDP
3JPWckmhSGgCXr/iDMuiIqokWR/l9srSV3KSy69lFl7j1Dabzcrafz+urLTZ0TnW
1F2s9xLdveClpoHn9dJqODOuFFXwhQWF4V5MQltnlOUfTwjSnceMwDmddpOWNleP
ygU9jhBe00AlxCz9u6Zv7ZawKL5cFBmBGgMRfA6vbC77BFzdamXh6YJJLvLrnW3b
xAzL3AeVhbZE8F6Eaw==
-----END CERTIFICATE-----
""",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    for name, pem in CERTIFICATES.items():
        (folder / f"{name}.pem").write_text(pem)
    return {name: folder / f"{name}.pem" for name in CERTIFICATES}


def context(*paths):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for path in paths:
        made.load_cert_chain(path)
    return made


class Holder:
    def __init__(self, client):
        self.client = client


@pytest.mark.parametrize(
    "make",
    [
        lambda verify: httpx.Client(verify=verify),
        lambda verify: httpx2.AsyncClient(verify=verify),
        lambda verify: httpx.Client(mounts={"https://": httpx.HTTPTransport(verify=verify)}),
        lambda verify: httpx.Client(proxy=httpx.Proxy("https://p.test", ssl_context=verify)),
        lambda verify: openai.OpenAI(api_key="k", http_client=httpx2.Client(verify=verify)),
    ],
)
def test_two_client_certificates_are_two_callers(files, make):
    one, same, other, rsa, none = (
        fingerprint_instance(Holder(make(context(*paths))))
        for paths in ([files["a"]], [files["a"]], [files["b"]], [files["rsa"]], [])
    )
    assert one == same
    assert len({one, other, rsa, none}) == 4


def test_the_context_that_a_client_makes_itself_has_none():
    assert fingerprint_instance(httpx.Client()) == fingerprint_instance(httpx.Client(verify=context()))


def test_whether_servers_are_verified_counts():
    assert fingerprint_instance(httpx.Client(verify=False)) == fingerprint_instance(httpx.Client(verify=False))
    assert fingerprint_instance(httpx.Client()) != fingerprint_instance(httpx.Client(verify=False))


def test_certificates_of_both_kinds_are_read(files):
    both = client_certificates(context(files["a"], files["rsa"]))
    assert both == (client_certificates(context(files["rsa"]))[0], client_certificates(context(files["a"]))[1])
    assert None not in both
    assert client_certificates(context()) == (None, None)


def test_other_settings_do_not_hide_a_certificate(files):
    for change in (
        lambda made: setattr(made, "minimum_version", ssl.TLSVersion.TLSv1_3),
        lambda made: made.set_alpn_protocols(["h2"]),
        lambda made: made.load_default_certs(),
        lambda made: setattr(made, "check_hostname", False),
    ):
        made = context(files["a"])
        change(made)
        assert client_certificates(made) == client_certificates(context(files["a"]))


def test_reading_leaves_the_context_as_it_is(files):
    made = context(files["a"])
    before = (made.verify_mode, made.check_hostname, made.minimum_version, made.options, made.get_ciphers())
    client_certificates(made)
    assert before == (made.verify_mode, made.check_hostname, made.minimum_version, made.options, made.get_ciphers())


def test_a_context_that_does_not_tell_is_refused():
    made = context()
    made.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")  # it could not show a certificate of the other kind
    with pytest.raises(
        CacheKeyError, match=r"self\.client.* is an ssl\.SSLContext whose client certificate cannot be read"
    ):
        fingerprint_instance(Holder(httpx.Client(verify=made)))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert client_certificates(server) == (None, None)


def test_a_subclass_of_a_context_is_refused():
    class Mine(ssl.SSLContext):
        pass

    with pytest.raises(CacheKeyError, match=r"_ssl_context is a .*Mine"):
        fingerprint_instance(Holder(httpx.Client(verify=Mine(ssl.PROTOCOL_TLS_CLIENT))))
