/* An invitation: whoever has the link sets up a passkey, or a password with codes, and is signed in. */
import { useState } from "preact/hooks";
import { adoptSession, asNobody, type HouseSession } from "../lib/api";
import { useLoad, useTitle } from "../ui/hooks";
import { Mark } from "../ui/icons";
import { Loading, Name, Notice, ProblemBox, Time } from "../ui/parts";
import { NewWay, type Enrolled, type Enrollment } from "../ui/new-way";

/** Invitations say where they are of: "<number of the tenant>.…"; the house takes all of them by one address. */
export function WelcomePage({ invite, onDone }: { invite: string; onDone: () => void }) {
  useTitle("Welcome");
  const [codes, setCodes] = useState<string[]>();
  const begun = useLoad((signal) => asNobody<Enrollment>("/account/enrollment", { method: "POST", json: { invite }, signal }), [invite]);
  const done = (e: Enrolled) => {
    if (e.session) adoptSession(e.session as HouseSession);
    if (e.recovery_codes.length > 0) setCodes(e.recovery_codes);
    else onDone();
  };
  return (
    <main class="signin">
      <div class="signin-card">
        <div class="signin-brand">
          <Mark size={52} />
          <h1>Welcome</h1>
          {begun.data && (
            <p>
              You are <strong><Name text={begun.data.principal} /></strong> here. Say how you want to sign in from now on
              {begun.data.expires_at && (
                <>
                  ; the invitation ends <Time at={begun.data.expires_at} />
                </>
              )}
              .
            </p>
          )}
        </div>
        <div class="signin-box">
          {begun.problem && <ProblemBox problem={begun.problem} />}
          {!begun.data && !begun.problem && <Loading rows={3} />}
          {codes ? (
            <>
              <Notice tone="warn">
                <p>
                  <strong>These recovery codes are shown this once.</strong> Each stands in for the app one time.
                </p>
              </Notice>
              <pre class="codes">{codes.join("\n")}</pre>
              <button type="button" class="button primary wide" onClick={onDone}>
                I have them
              </button>
            </>
          ) : (
            begun.data && <NewWay enrollment={begun.data} invite={invite} onDone={done} />
          )}
        </div>
      </div>
    </main>
  );
}
