// npm's oidc-provider, a certified OpenID Provider, on loopback HTTPS, driven by test_oidc_provider.py: the first line of input holds its settings, each
// further one a command; a line of output answers each. Its own development pages sign people in: any password will do.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import * as jose from 'jose';
import Provider from 'oidc-provider';

const algorithms = ['RS256', 'ES256', 'EdDSA'];
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
console.info = console.warn; // its notices, which belong to no answer

const want = JSON.parse((await lines.next()).value);
let wrong = {}; // of ID tokens: claims and header members that are put in place, and whose key signs
let conform = true; // claims of scopes at the UserInfo endpoint alone, as the provider does it by default
let keys = [];
let before = []; // the keys that were replaced last
let current;

async function newKeys() {
  before = keys;
  keys = await Promise.all(algorithms.map(async (alg) => {
    const pair = await jose.generateKeyPair(alg, { extractable: true, crv: 'Ed25519' });
    const jwk = await jose.exportJWK(pair.privateKey);
    return { ...jwk, alg, use: 'sig', kid: await jose.calculateJwkThumbprint(jwk) };
  }));
}

// What a provider gone wrong, or somebody in its place, would give: the same token with other contents, signed anew.
async function forge(token) {
  const header = { ...jose.decodeProtectedHeader(token), ...wrong.header };
  const claims = { ...jose.decodeJwt(token), ...wrong.claims };
  for (const o of [claims, header]) for (const name of Object.keys(o)) if (o[name] === null) delete o[name];
  const ring = wrong.by === 'before' ? before : keys;
  const jwk = ring.find((k) => k.alg === header.alg);
  if (wrong.by === 'before') header.kid = jwk.kid;
  return new jose.SignJWT(claims).setProtectedHeader(header).sign(await jose.importJWK(jwk, header.alg));
}

function make(issuer) {
  const provider = new Provider(issuer, {
    clients: want.clients.map((c) => ({
      client_id: c.id,
      ...(c.secret ? { client_secret: c.secret } : {}),
      token_endpoint_auth_method: c.auth ?? 'client_secret_basic',
      id_token_signed_response_alg: c.alg,
      redirect_uris: [want.redirect],
      post_logout_redirect_uris: [want.home],
    })),
    jwks: { keys },
    claims: { openid: ['sub'], profile: ['preferred_username'], email: ['email'], groups: ['groups', 'department'] },
    conformIdTokenClaims: conform,
    findAccount: (ctx, id) => want.accounts[id] && { accountId: id, claims: () => ({ sub: id, ...want.accounts[id] }) },
    pkce: { methods: ['S256'], required: () => true },
    cookies: { keys: ['of the tests'] },
    ttl: { Session: 600, Interaction: 600, Grant: 600, IdToken: 300, AccessToken: 300, AuthorizationCode: 60 },
  });
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.oidc?.route === 'token' && ctx.body?.id_token && Object.keys(wrong).length) ctx.body.id_token = await forge(ctx.body.id_token);
    if (ctx.oidc?.route === 'userinfo' && wrong.userinfo) ctx.body = { ...ctx.body, ...wrong.userinfo };
  });
  return provider.callback();
}

const server = createServer({ cert: readFileSync(want.cert), key: readFileSync(want.key) }, (req, res) => current(req, res));
await newKeys();
await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
const issuer = `https://localhost:${server.address().port}`;
current = make(issuer);
say({ issuer });
for await (const line of lines) {
  const command = JSON.parse(line);
  wrong = command.wrong ?? wrong;
  conform = command.conform ?? conform;
  if (command.rotate) await newKeys();
  if (command.rotate || command.conform !== undefined) current = make(issuer);
  say({ kids: keys.map((k) => k.kid) });
}
server.close();
server.closeAllConnections();
