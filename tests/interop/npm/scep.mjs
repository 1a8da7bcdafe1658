// A SCEP client (RFC 8894) made of npm's pkijs, driven by test_scep_clients.py: reads a JSON document with one thing to do, prints one of
// results. It encrypts by RSA-OAEP, which is all that WebCrypto has, and writes BER (strings in parts, lengths left open) where it is asked to.
import { readFileSync } from 'node:fs';
import { webcrypto } from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';

const engine = new pkijs.CryptoEngine({ name: 'node', crypto: webcrypto });
pkijs.setEngine('node', engine);

const want = JSON.parse(readFileSync(0, 'utf8'));
const SIGNING = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
const SCEP = '2.16.840.1.113733.1.9.';
const TYPES = { PKCSReq: '19', RenewalReq: '17', CertPoll: '20', GetCert: '21', GetCRL: '22' };
const STATUS = { 0: 'success', 2: 'failure', 3: 'pending' };

const base64 = (buffer) => Buffer.from(buffer).toString('base64');
const octets = (text) => new Uint8Array(Buffer.from(text, 'base64')).buffer;
const subjectOf = (cert) => cert.subject.typesAndValues.map((v) => v.value.valueBlock.value).join(' ');

// --- HTTP ---

async function get(operation) {
  const reply = await fetch(`${want.url}?operation=${operation}`);
  return { status: reply.status, type: reply.headers.get('content-type'), body: await reply.arrayBuffer() };
}

async function post(message) {
  const reply = await fetch(`${want.url}?operation=PKIOperation`, {
    method: 'POST', headers: { 'content-type': 'application/x-pki-message' }, body: message });
  return { status: reply.status, body: await reply.arrayBuffer() };
}

// --- keys, certificates, requests ---

const generate = () => webcrypto.subtle.generateKey({ ...SIGNING, modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) }, true, ['sign', 'verify']);
const importKey = (pkcs8) => webcrypto.subtle.importKey('pkcs8', pkcs8, SIGNING, true, ['sign']);
const commonName = (cn) => new pkijs.AttributeTypeAndValue({ type: '2.5.4.3', value: new asn1js.Utf8String({ value: cn }) });

async function selfSigned(keys, cn) {
  const cert = new pkijs.Certificate({ version: 2, serialNumber: new asn1js.Integer({ value: 1 }) });
  cert.subject.typesAndValues.push(commonName(cn));
  cert.issuer.typesAndValues.push(commonName(cn));
  cert.notBefore.value = new Date(Date.now() - 86400e3);
  cert.notAfter.value = new Date(Date.now() + 86400e3);
  await cert.subjectPublicKeyInfo.importKey(keys.publicKey);
  await cert.sign(keys.privateKey, 'SHA-256');
  return cert;
}

async function request(keys, cn, challenge) {
  const csr = new pkijs.CertificationRequest();
  csr.subject.typesAndValues.push(commonName(cn));
  csr.attributes = challenge
    ? [new pkijs.Attribute({ type: '1.2.840.113549.1.9.7', values: [new asn1js.PrintableString({ value: challenge })] })] : [];
  await csr.subjectPublicKeyInfo.importKey(keys.publicKey);
  await csr.sign(keys.privateKey, 'SHA-256');
  return csr.toSchema(true).toBER(false);
}

// --- messages ---

/** Leave the lengths open from here down, but for what is signed as it stands (X.690 8.1.3.6). */
function openLengths(block) {
  if (!block.idBlock.isConstructed) return block;
  block.lenBlock.isIndefiniteForm = true;
  for (const part of block.valueBlock.value) openLengths(part);
  return block;
}

async function envelope(plain, ra, { oaep = 'SHA-256', ber = false }) {
  const cms = new pkijs.EnvelopedData({ disableSplit: !ber });
  cms.addRecipientByCertificate(ra, { oaepHashAlgorithm: oaep });
  await cms.encrypt({ name: 'AES-CBC', length: 256 }, plain);
  const whole = new pkijs.ContentInfo({ contentType: pkijs.ContentInfo.ENVELOPED_DATA, content: cms.toSchema() }).toSchema();
  return (ber ? openLengths(whole) : whole).toBER(false);
}

async function signed(content, cert, key, type, transaction, { ber = false }) {
  const digest = await webcrypto.subtle.digest('SHA-256', content);
  const nonce = webcrypto.getRandomValues(new Uint8Array(16)).buffer;
  const attributes = [
    ['1.2.840.113549.1.9.3', new asn1js.ObjectIdentifier({ value: pkijs.ContentInfo.DATA })],
    ['1.2.840.113549.1.9.4', new asn1js.OctetString({ valueHex: digest })],
    [SCEP + '2', new asn1js.PrintableString({ value: TYPES[type] })],
    [SCEP + '5', new asn1js.OctetString({ valueHex: nonce })],
    [SCEP + '7', new asn1js.PrintableString({ value: transaction })],
  ].map(([name, value]) => new pkijs.Attribute({ type: name, values: [value] }));
  // A SET OF is in the order of its encodings (X.690 11.6), which pkijs leaves to its caller.
  const encoded = (a) => Buffer.from(a.toSchema().toBER(false));
  attributes.sort((a, b) => Buffer.compare(encoded(a), encoded(b)));
  const cms = new pkijs.SignedData({
    version: 1,
    encapContentInfo: new pkijs.EncapsulatedContentInfo({
      eContentType: pkijs.ContentInfo.DATA, eContent: new asn1js.OctetString({ valueHex: content }) }),
    signerInfos: [new pkijs.SignerInfo({
      version: 1,
      sid: new pkijs.IssuerAndSerialNumber({ issuer: cert.issuer, serialNumber: cert.serialNumber }),
      signedAttrs: new pkijs.SignedAndUnsignedAttributes({ type: 0, attributes }) })],
    certificates: [cert],
  });
  await cms.sign(key, 0, 'SHA-256');
  const whole = new pkijs.ContentInfo({ contentType: pkijs.ContentInfo.SIGNED_DATA, content: cms.toSchema(true) }).toSchema();
  if (ber) {
    const data = whole.valueBlock.value[1].valueBlock.value[0];
    for (const part of [whole, whole.valueBlock.value[1], data]) part.lenBlock.isIndefiniteForm = true;
    openLengths(data.valueBlock.value[2]); // encapContentInfo
  }
  return { message: whole.toBER(false), nonce };
}

const signedData = (der) => new pkijs.SignedData({ schema: pkijs.ContentInfo.fromBER(der).content });

async function verified(cms, ra) {
  if (!cms.encapContentInfo.eContent) { // which pkijs takes for content that is elsewhere
    const [info] = cms.signerInfos;
    const digest = info.signedAttrs.attributes.find((a) => a.type === '1.2.840.113549.1.9.4').values[0].valueBlock.valueHexView;
    return Buffer.compare(Buffer.from(digest), Buffer.from(await webcrypto.subtle.digest('SHA-256', new Uint8Array()))) === 0
      && engine.verifyWithPublicKey(info.signedAttrs.encodedValue, info.signature, ra.subjectPublicKeyInfo, info.signatureAlgorithm, 'SHA-256');
  }
  const result = await cms.verify({ signer: 0, trustedCerts: [ra], checkChain: false, extendedMode: true });
  return result.signatureVerified === true;
}

/** A CertRep: signature, transaction and nonce checked, the envelope opened with the key that asked. */
async function answer(reply, ra, asked) {
  if (reply.status !== 200) return { http: reply.status, text: Buffer.from(reply.body).toString() };
  const cms = signedData(reply.body);
  const values = {};
  for (const a of cms.signerInfos[0].signedAttrs.attributes) values[a.type] = a.values[0].valueBlock;
  const result = {
    http: 200,
    verified: await verified(cms, ra),
    transaction: values[SCEP + '7'].value === asked.transaction,
    nonce: Buffer.compare(Buffer.from(values[SCEP + '6'].valueHexView), Buffer.from(asked.nonce)) === 0,
    status: STATUS[values[SCEP + '3'].value],
    failInfo: values[SCEP + '4'] ? values[SCEP + '4'].value : null,
    text: values['1.3.6.1.5.5.7.24.1'] ? values['1.3.6.1.5.5.7.24.1'].value : null,
    certificates: [],
    revoked: null,
  };
  if (result.status !== 'success') return result;
  const inner = new pkijs.EnvelopedData({ schema: pkijs.ContentInfo.fromBER(cms.encapContentInfo.eContent.getValue()).content });
  result.transport = inner.recipientInfos[0].value.keyEncryptionAlgorithm.algorithmId;
  const plain = await inner.decrypt(0, { recipientCertificate: asked.cert, recipientPrivateKey: asked.pkcs8 });
  const held = signedData(plain);
  result.certificates = (held.certificates || []).map((c) => base64(c.toSchema(true).toBER(false)));
  if (held.crls && held.crls.length) result.revoked = (held.crls[0].revokedCertificates || []).length;
  return result;
}

// --- what can be asked for ---

async function caCertificates() {
  const reply = await get('GetCACert');
  return signedData(reply.body).certificates;
}

async function ask(type, plain, asked, ra) {
  const { message, nonce } = await signed(await envelope(plain, ra, want), asked.cert, asked.key, type, asked.transaction, want);
  return answer(await post(message), ra, { ...asked, nonce });
}

/** Who was there before: {key, cert} as they were printed. */
async function before(state) {
  const pkcs8 = octets(state.key);
  return { pkcs8, key: await importKey(pkcs8), cert: pkijs.Certificate.fromBER(octets(state.cert)), transaction: state.transaction };
}

async function enroll(ra) {
  const keys = await generate();
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  const transaction = Buffer.from(webcrypto.getRandomValues(new Uint8Array(16))).toString('hex');
  const plain = await request(keys, want.name, want.challenge);
  const old = want.renew ? await before(want.renew) : null;
  // The answer is encrypted to the certificate that signs: a renewal's is the old one.
  const asked = old ? { ...old, transaction } : { pkcs8, key: keys.privateKey, cert: await selfSigned(keys, want.name), transaction };
  const result = await ask(old ? 'RenewalReq' : 'PKCSReq', plain, asked, ra);
  const state = { key: base64(pkcs8), cert: result.certificates && result.certificates[0] || base64(asked.cert.toSchema(true).toBER(false)), transaction };
  return { ...result, state };
}

async function poll(ra, ca) {
  const asked = await before(want.poll);
  const plain = new asn1js.Sequence({ value: [ca.subject.toSchema(), asked.cert.subject.toSchema()] }).toBER(false);
  return ask('CertPoll', plain, asked, ra);
}

async function fetchBack(type, ra) {
  const asked = await before(want.fetch);
  const transaction = Buffer.from(webcrypto.getRandomValues(new Uint8Array(16))).toString('hex');
  const plain = new asn1js.Sequence({ value: [asked.cert.issuer.toSchema(), asked.cert.serialNumber] }).toBER(false);
  return ask(type, plain, { ...asked, transaction }, ra);
}

async function nextCa(ra) {
  const reply = await get('GetNextCACert');
  if (reply.status !== 200) return { http: reply.status };
  const cms = signedData(reply.body);
  const inner = signedData(cms.encapContentInfo.eContent.getValue());
  return { http: 200, type: reply.type, verified: await verified(cms, ra), subjects: inner.certificates.map(subjectOf) };
}

const [ra, ca] = await caCertificates();
const does = { enroll: () => enroll(ra), poll: () => poll(ra, ca), next: () => nextCa(ra),
  'get-cert': () => fetchBack('GetCert', ra), 'get-crl': () => fetchBack('GetCRL', ra) };
console.log(JSON.stringify(await does[want.do]()));
