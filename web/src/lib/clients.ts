/* What to type where a certificate is wanted: the commands of the clients people have, filled with this house's names. Each was run as it stands
 * here in the how-tos, or says that it was not. Pure. */

export interface House {
  host: string; /* by which clients reach it */
  enrollment: number; /* port over TLS; 0: not known */
  plain: number;
  tenant: string;
}

export interface Recipe {
  client: string;
  what: string;
  text: string;
}

export interface EndpointFacts {
  name: string;
  protocol: string;
  profile: string; /* the first */
  token: boolean;
  certificate: boolean;
  birth: boolean; /* birth certificates of a trust set */
}

const label = (h: House, e: EndpointFacts): string => (h.tenant === "default" ? e.name : `${h.tenant}.${e.name}`);
const authority = (host: string, port: number, usual: number): string => (port === 0 || port === usual ? host : `${host}:${port}`);
const tls = (h: House): string => `https://${authority(h.host, h.enrollment || 8443, 443)}`;
const plain = (h: House): string => `http://${authority(h.host, h.plain || 8080, 80)}`;

export function addressOf(h: House, e: EndpointFacts): string {
  const name = label(h, e);
  switch (e.protocol) {
    case "acme":
      return `${tls(h)}/acme/${name}/directory`;
    case "est":
      return `${tls(h)}/.well-known/est/${name}`;
    case "scep":
      return `${plain(h)}/scep/${name}`;
    case "cmp":
      return `${plain(h)}/.well-known/cmp/p/${name}`;
    case "rest":
      return `${tls(h)}/api/v1${h.tenant === "default" ? "" : `/tenants/${h.tenant}`}/enroll`;
    default:
      return "";
  }
}

const ROOT = (h: House): string => `# the house's root, once\ncurl --silent --insecure ${tls(h)}/api/v1${h.tenant === "default" ? "" : `/tenants/${h.tenant}`}/trust-bundle --output root.pem\nopenssl x509 -in root.pem -noout -fingerprint -sha256   # compare it with the one under Authorities`;

function acme(h: House, e: EndpointFacts): Recipe[] {
  const directory = addressOf(h, e);
  const eab = `# an account key, for the names that need no challenge: touchmark token create --external --endpoint ${e.name} --name DNS:www.example.org`;
  return [
    { client: "certbot", what: "gets and renews, from its own timer", text: `export REQUESTS_CA_BUNDLE=root.pem\n${eab}\ncertbot certonly --standalone --server ${directory} \\\n    --eab-kid KEY_ID --eab-hmac-key HMAC_KEY --email admin@example.org --agree-tos \\\n    --domain www.example.org` },
    { client: "lego", what: "one program; renew from cron", text: `export LEGO_CA_CERTIFICATES=root.pem\n${eab}\nlego --server ${directory} --email admin@example.org --accept-tos \\\n    --eab --kid KEY_ID --hmac HMAC_KEY --domains www.example.org --http run\nlego --server ${directory} --email admin@example.org \\\n    --domains www.example.org --http renew --renew-hook 'systemctl reload nginx'` },
    { client: "acme.sh", what: "a shell script; from its documentation, not run by the tests", text: `acme.sh --register-account --server ${directory} --ca-bundle root.pem \\\n    --eab-kid KEY_ID --eab-hmac-key HMAC_KEY\nacme.sh --issue --server ${directory} --ca-bundle root.pem \\\n    --domain www.example.org --webroot /var/www/html --keylength ec-256` },
    { client: "Caddy", what: "in its Caddyfile", text: `{\n\tacme_ca ${directory}\n\tacme_ca_root root.pem\n\tacme_eab {\n\t\tkey_id KEY_ID\n\t\tmac_key HMAC_KEY\n\t}\n}\n\nwww.example.org {\n\trespond "hello"\n}` },
    { client: "cert-manager", what: "in Kubernetes; from its documentation, not run by the tests", text: `apiVersion: cert-manager.io/v1\nkind: ClusterIssuer\nmetadata: { name: touchmark }\nspec:\n  acme:\n    server: ${directory}\n    caBundle: BASE64_OF_ROOT_PEM           # base64 -w0 root.pem\n    email: admin@example.org\n    privateKeySecretRef: { name: touchmark-account }\n    externalAccountBinding:\n      keyID: KEY_ID\n      keySecretRef: { name: touchmark-eab, key: secret }\n    solvers:\n      - http01: { ingress: { ingressClassName: nginx } }` },
  ];
}

function est(h: House, e: EndpointFacts): Recipe[] {
  const base = addressOf(h, e);
  const decode = "| base64 -d | openssl pkcs7 -inform DER -print_certs";
  const ask = (who: string) => `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout machine.key -out machine.csr \\\n    -subj / -addext subjectAltName=DNS:machine.example.org\ncurl --silent --fail --cacert root.pem ${who} \\\n    --header "Content-Type: application/pkcs10" --data-binary @machine.csr \\\n    ${base}/simpleenroll ${decode} -out machine.pem`;
  const recipes: Recipe[] = [];
  if (e.token)
    recipes.push({ client: "curl and openssl", what: "with a one-time token", text: `# on the house's machine, or under Tokens:\ntouchmark token create --endpoint ${e.name} --name DNS:machine.example.org --ttl 1h\n# on the machine; the token is ID.SECRET\n${ask("--user ID:SECRET")}` });
  if (e.birth) recipes.push({ client: "curl and openssl", what: "with the birth certificate that the device came with", text: ask("--cert birth.pem --key birth.key") });
  if (e.certificate)
    recipes.push({ client: "curl and openssl", what: "renew with the certificate that it has", text: `curl --silent --fail --cacert root.pem --cert machine.pem --key machine.key \\\n    --header "Content-Type: application/pkcs10" --data-binary @machine.csr \\\n    ${base}/simplereenroll ${decode} -out renewed.pem` });
  recipes.push({ client: "strongSwan's pki", what: "version 5.9.10 and later", text: `pki --estca --url ${tls(h)} --label ${label(h, e)} --cacert root.pem --caout chain.pem --outform pem\npki --gen --type ecdsa --size 256 --outform pem > machine.key\npki --req --type priv --in machine.key --dn "CN=machine.example.org" --san machine.example.org --outform pem > machine.csr\npki --est --url ${tls(h)} --label ${label(h, e)} --cacert root.pem --in machine.csr \\\n    ${e.birth ? "--cert birth.pem --key birth.key" : "--userid ID --password SECRET"} --outform pem > machine.pem` });
  return recipes;
}

function scep(h: House, e: EndpointFacts): Recipe[] {
  const url = addressOf(h, e);
  const token = `# a one-time challenge, on the house's machine or under Tokens:\ntouchmark token create --for scep --endpoint ${e.name} --name CN=router-7 --ttl 1h`;
  return [
    { client: "strongSwan's pki", what: "with a one-time challenge", text: `${token}\npki --scepca --url ${url} --caout ca.pem --raout ra.pem --outform pem\npki --gen --type rsa --size 2048 > router.key\npki --scep --url ${url} --in router.key --dn CN=router-7 --password CHALLENGE \\\n    --cacert-enc ra.pem --cacert-sig ra.pem --cacert ca.pem --cacert ca-1.pem --outform pem > router.pem` },
    { client: "certmonger", what: "a daemon that renews", text: `${token}\ngetcert add-scep-ca -c touchmark -u ${url}\ngetcert request -c touchmark -f /etc/pki/router.pem -k /etc/pki/router.key -g 2048 \\\n    -N CN=router-7 -L CHALLENGE` },
    { client: "a router, a printer, device management", what: "what it is to be told", text: `URL         ${url}\n            ${plain(h)}/scep/${label(h, e)}/pkiclient.exe   (where it wants a program's name)\nChallenge   made as above, one for each device\nKey         RSA, 2048 bits or more` },
  ];
}

function cmp(h: House, e: EndpointFacts): Recipe[] {
  const url = addressOf(h, e);
  const recipes: Recipe[] = [
    { client: "openssl cmp", what: "with a reference and its secret", text: `# on the house's machine, or under Tokens:\ntouchmark token create --for cmp --endpoint ${e.name} --name DNS:gw.example.org --name CN=gw.example.org\nopenssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out gw.key\nopenssl cmp -config "" -cmd ir -server ${url} -recipient /CN=CA \\\n    -ref REFERENCE -secret pass:SECRET -mac hmacWithSHA256 \\\n    -newkey gw.key -subject /CN=gw.example.org -sans gw.example.org \\\n    -certout gw.pem -chainout chain.pem -cacertsout root.pem` },
  ];
  if (e.birth)
    recipes.push({ client: "openssl cmp", what: "with the certificate of its vendor, as base stations do", text: `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out operator.key\nopenssl cmp -config "" -cmd ir -server ${url}/initialization -cert vendor.pem -key vendor.key -trusted root.pem \\\n    -newkey operator.key -subject /CN=enb-0001 -certout operator.pem -chainout operator-chain.pem` });
  recipes.push({ client: "openssl cmp", what: "renew with a new key", text: `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out next.key\nopenssl cmp -config "" -cmd kur -server ${url}/keyupdate -cert gw.pem -key gw.key -trusted root.pem \\\n    -newkey next.key -certout next.pem` });
  return recipes;
}

function rest(h: House, e: EndpointFacts): Recipe[] {
  const url = addressOf(h, e);
  const csr = "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout web.key -subj /CN=web.example.org \\\n    -addext subjectAltName=DNS:web.example.org -out web.csr";
  return [
    { client: "curl and openssl", what: "the certificate with its chain, as PEM", text: `# an API token: touchmark token create --principal NAME, or under Tokens\nprintf 'Authorization: Bearer TOKEN\\n' > auth\n${csr}\ncurl --silent --fail-with-body --cacert root.pem --header @auth \\\n    --header 'Content-Type: application/pkcs10' --header 'Accept: application/pem-certificate-chain' --data-binary @web.csr \\\n    '${url}?endpoint=${e.name}&profile=${e.profile}' > web.pem` },
    { client: "touchmark", what: "on the house's own machine", text: `${csr}\ntouchmark cert issue --csr web.csr --profile ${e.profile} --out web.pem` },
    { client: "this console", what: "with a key that the browser makes", text: "New request" },
  ];
}

const WAYS: Record<string, (h: House, e: EndpointFacts) => Recipe[]> = { acme, est, scep, cmp, rest };

export const recipes = (h: House, e: EndpointFacts): Recipe[] => WAYS[e.protocol]?.(h, e) ?? [];
export const rootRecipe = ROOT;
