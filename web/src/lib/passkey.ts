/* Passkeys (Web Authentication): the browser's own functions turn the house's JSON into what an authenticator takes, and back. */
import { asNobody, type HouseSession } from "./api";

export const passkeysHere = (): boolean => "PublicKeyCredential" in globalThis && "parseRequestOptionsFromJSON" in PublicKeyCredential;

type RequestJSON = Parameters<typeof PublicKeyCredential.parseRequestOptionsFromJSON>[0];
export type CreationJSON = Parameters<typeof PublicKeyCredential.parseCreationOptionsFromJSON>[0];

const refused = (e: unknown): Error =>
  e instanceof DOMException && (e.name === "NotAllowedError" || e.name === "AbortError") ? new Error("The passkey was not used: it was called off, took too long, or is for another address.") : (e as Error);

export async function usePasskey(tenant: string): Promise<HouseSession> {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(await asNobody<RequestJSON>("/session/challenge", { method: "POST" }, tenant));
  const credential = (await navigator.credentials.get({ publicKey }).catch((e) => Promise.reject(refused(e)))) as PublicKeyCredential;
  return asNobody<HouseSession>("/session", { method: "POST", json: { method: "passkey", credential: credential.toJSON() } }, tenant);
}

/** A new one; its answer for the house. */
export async function makePasskey(options: CreationJSON): Promise<unknown> {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  const credential = (await navigator.credentials.create({ publicKey }).catch((e) => Promise.reject(refused(e)))) as PublicKeyCredential;
  return credential.toJSON();
}
