// The life of an account of npm's acme-client, driven by test_acme_client.py: reads a JSON document of settings, prints one of results.
import { writeFileSync, rmSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import acme from 'acme-client';

const want = JSON.parse(readFileSync(0, 'utf8'));
acme.axios.defaults.acmeSettings.httpChallengePort = want.httpPort;
acme.axios.defaults.acmeSettings.tlsAlpnChallengePort = want.tlsPort;

const files = {
  'http-01': (authz, challenge, auth) => [[join(want.files, challenge.token), auth]],
  'dns-01': (authz, challenge, auth) => [[join(want.txt, `_acme-challenge.${authz.identifier.value}`), auth]],
  'tls-alpn-01': async (authz, challenge, auth) => {
    const [key, cert] = await acme.crypto.createAlpnCertificate(authz, auth);
    return [[join(want.alpn, `${authz.identifier.value}.crt.pem`), cert], [join(want.alpn, `${authz.identifier.value}.key.pem`), key]];
  },
};

async function issue(client, names, kind) {
  const written = [];
  const [, csr] = await acme.crypto.createCsr({ altNames: names }, await acme.crypto.createPrivateEcdsaKey());
  // Removed when all is over: the authorizations of a name and of its wildcard share a record, and are validated one after the other.
  const order = client.auto({
    csr,
    email: 'npm@example.org',
    termsOfServiceAgreed: true,
    challengePriority: [kind],
    skipChallengeVerification: true,
    challengeCreateFn: async (authz, challenge, auth) => {
      if (challenge.type !== kind) throw new Error(`${challenge.type} in place of ${kind}`);
      for (const [path, text] of await files[kind](authz, challenge, auth)) {
        writeFileSync(path, text, { flag: kind === 'dns-01' ? 'a' : 'w' });
        if (kind === 'dns-01') writeFileSync(path, '\n', { flag: 'a' });
        written.push(path);
      }
    },
    challengeRemoveFn: async () => {},
  });
  return order.finally(() => { for (const path of written) rmSync(path, { force: true }); });
}

const options = { directoryUrl: want.directory, backoffMin: 100, backoffMax: 1000 };
if (want.external) options.externalAccountBinding = { kid: want.external[0], hmacKey: want.external[1] };
const client = new acme.Client({ ...options, accountKey: await acme.crypto.createPrivateEcdsaKey() });
const results = { certificates: [] };
for (const step of want.steps) {
  if (step.issue) results.certificates.push(await issue(client, step.issue, step.by));
  if (step.revoke !== undefined) await client.revokeCertificate(results.certificates[step.revoke], { reason: 4 });
  if (step.contact) await client.updateAccount({ contact: [`mailto:${step.contact}`] });
  if (step.newKey) await client.updateAccountKey(await acme.crypto.createPrivateEcdsaKey('P-384'));
  if (step.register) await client.createAccount({ termsOfServiceAgreed: true });
  if (step.deactivate) results.account = (await client.updateAccount({ status: 'deactivated' })).status;
}
console.log(JSON.stringify(results));
