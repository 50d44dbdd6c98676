# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# photogate as a peer of the proxy benchmark kit: copy it to the kit's peers/; see README.md beside it.
PEER_DESC="photogate: pooled verified origin connections, rules, name-constrained issuing CA in a process of its own"
PEER_CAPS="req1 req2 conn cold bulk tunnel idle block rules"

# The kit's CA signs the issuing CA, as a corporate PKI would (docs/ca.md): a request, signed by openssl with the extensions
# that it asks for, imported with all above it.
bench_ca() {
    "$PHOTOGATE" ca csr --config photogate.toml >issuing.csr 2>csr.log &&
        openssl x509 -req -in issuing.csr -CA "$C/bump-ca.pem" -CAkey "$C/bump-ca.key" -set_serial "0x1$(openssl rand -hex 15)" -sha256 \
            -days 365 -copy_extensions copyall -out issuing.pem 2>sign.log &&
        "$PHOTOGATE" ca import --config photogate.toml issuing.pem "$C/bump-ca.pem" >import.log 2>&1
}

# One rule that the block test meets, and RULES more.
bench_rules() {
    awk -v n="$RULES" '
        function rule(id, path, example) {
            printf "[[rule]]\nid = \"bench.%s\"\nwhy = \"Bench.\"\nsource = \"bench\"\ndate = 2026-11-23\nconfidence = \"inferred\"\n", id
            printf "answer = \"graph\"\nhosts = [\"outlook.office.com\"]\nmethods = \"any\"\npath = [\"%s\"]\n", path
            printf "block = [\"GET https://outlook.office.com/%s\"]\n", example
        }
        BEGIN {
            print "pack = \"bench\""
            rule("block", "block/**", "block/x")
            for (i = 0; i < n; i++) rule("r" i, "r" i "/*/photo", "r" i "/x/photo")
        }' >bench-rules.toml
}

peer_up() {
    : "${PHOTOGATE:?set PHOTOGATE to the built program}"
    access=''
    [ "$LOG" = 1 ] && access='access = "access.log"'
    bench_rules
    # The sites lie on loopback, which is refused as a target by default; names are resolved as by the other peers.
    cat >photogate.toml <<E
[proxy]
listen = ["127.0.0.1:$PORT"]
workers = $WORKERS
user = "64901"
signer_user = "64902"
[proxy.timeouts]
client_idle = "1h"
tunnel_idle = "1h"
[origin]
ca_file = "$C/public-ca.pem"
allow_networks = ["127.0.0.0/8"]
dns_servers = "127.0.0.1"
[origin.timeouts]
idle = "1h"
[inspect]
extra = { "*.office.com" = "exchange", "*.office365.com" = "exchange", "*.microsoft.com" = "exchange", "*.azure.com" = "exchange" }
[filters]
packs = ["bench-rules.toml"]
[log]
$access
E
    bench_ca || { cat csr.log sign.log import.log >&2; return 1; }
    start "$PHOTOGATE" run --config "$W/photogate.toml"
}
